"""The variational autoencoder minimises a bound on the negative log-likelihood, and is a pretraining like any other.

With one latent variable the likelihood is an integral over a line, which is done by brute force; the two terms are compared with
torch.distributions, network and gradient included.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence

from analysis import KNN
from contrast import (
    MNIST,
    SGD,
    STL10,
    Adam,
    BitsBeside,
    ConvN,
    Cosine,
    CropFlip,
    CropViews,
    DeconvN,
    Digits,
    Diverged,
    Finetune,
    RandomBits,
    Resize,
    SmallResNet,
    Untrained,
    UserError,
    Warmup,
)
from contrast.augmentations import Augment
from contrast.distributed import Processes
from contrast.vae import VAE, backward, bound_terms, initial_vae, kl_from_standard_normal, noise
from sweeps.engines.worker import Monitor
from sweeps.resources import Resources, with_gpus
from tests.bench import Bench, assert_same, curve

DATA = Digits(per_class=9)
PLAIN = VAE(data=DATA, encoder=SmallResNet(2), batch_size=40, epochs=3, seed=0, optimizer=Adam(lr=1e-3), latent=5)
HALF = replace(PLAIN, precision="bf16")


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def binary(count=6):
    """Digits in black and white, so that the cross-entropy is a likelihood."""
    return torch.from_numpy(DATA.load(None).pixels[::15][:count] >= 128).double()


def expected_loss(net, x, drawn, beta):
    """The negative evidence lower bound, mean over the batch, in the words of torch.distributions."""
    mean, log_variance = net.top.posterior(net.encoder((x - net.mean) / net.std)).chunk(2, 1)
    q = Normal(mean, (log_variance / 2).exp())
    z = q.loc + q.scale * drawn
    log_likelihood = Independent(Bernoulli(logits=net.top.decoder(z)), 3).log_prob(x)
    return (beta * kl_divergence(q, Normal(torch.zeros_like(z), torch.ones_like(z))).sum(1) - log_likelihood).mean()


@settings(deadline=None, max_examples=20)
@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(-8, 4)), min_size=1, max_size=6))
def test_the_divergence_from_the_prior_is_that_of_torch(pairs):
    mean, log_variance = torch.tensor(pairs, dtype=torch.float64).T
    q = Normal(mean, (log_variance / 2).exp())
    expected = kl_divergence(q, Normal(torch.zeros_like(mean), torch.ones_like(mean))).sum()
    torch.testing.assert_close(kl_from_standard_normal(mean[None], log_variance[None])[0], expected)


@pytest.mark.parametrize("beta", [0.0, 1.0, 4.0])
def test_a_step_follows_the_gradient_of_the_bound(beta):
    """Against the bound by torch.distributions, in double precision; `backward` gives both terms, summed over pixels, meant over images."""
    stage = replace(PLAIN, data=RandomBits(bits=2, of=DATA), beta=beta)
    images = stage.data.load(None)
    x, drawn = torch.from_numpy(images.pixels[:6] >= 128).double(), torch.randn(6, 5, generator=torch.Generator().manual_seed(0)).double()
    one, two = initial_vae(stage).double().train(), initial_vae(stage).double().train()
    terms = backward(stage, one, x, drawn, 6, Processes())
    loss = expected_loss(two, x, drawn, beta)
    loss.backward()
    torch.testing.assert_close(terms.reconstruction + beta * terms.kl, loss.detach())
    for (name, found), expected in zip(one.named_parameters(), two.parameters(), strict=True):
        torch.testing.assert_close(found.grad, expected.grad, msg=name)


def test_the_bound_lies_below_the_log_likelihood_by_the_divergence_from_the_true_posterior(bench):
    """One latent variable: the bound's expectation, the likelihood and the posterior are sums over fine grids."""
    stage = replace(PLAIN, latent=1, epochs=2)
    bench.run(stage)
    net, x, nodes = bench.net(stage).double(), binary(3), torch.linspace(-9, 9, 501, dtype=torch.float64)
    grid = torch.linspace(-12, 12, 2001, dtype=torch.float64)
    prior = Normal(torch.zeros((), dtype=torch.float64), torch.ones((), dtype=torch.float64))
    with torch.no_grad():
        terms = bound_terms(net, x.repeat_interleave(len(nodes), 0), nodes.repeat(len(x))[:, None])
        bound = -((terms.reconstruction + terms.kl).view(len(x), -1) * prior.log_prob(nodes).exp()).sum(1) * (18 / 500)
        mean, log_variance = net.top.moments(net.features(x))
        logits = net.top.decoder(grid[:, None])
        joint = torch.stack([Independent(Bernoulli(logits=logits), 3).log_prob(image) for image in x]) + prior.log_prob(grid)
        log_likelihood = (joint.exp().sum(1) * (24 / 2000)).log()
        log_q = Normal(mean, (log_variance / 2).exp()).log_prob(grid)
        gap = (log_q.exp() * (log_q - joint + log_likelihood[:, None])).sum(1) * (24 / 2000)
    assert (bound < log_likelihood).all()
    assert (gap > 1e-3).all()
    torch.testing.assert_close(bound + gap, log_likelihood, rtol=0, atol=1e-4)


def test_without_bits_it_is_the_plain_autoencoder(bench):
    bitless = replace(PLAIN, data=RandomBits(bits=0, of=DATA), views=BitsBeside(CropViews(1), 0))
    assert_same(bench.run(bitless), bench.run(replace(PLAIN, views=CropViews(1))))


def test_the_bits_are_reconstructed_as_pixels_are():
    stage = replace(PLAIN, data=RandomBits(bits=3, of=DATA))
    net, x = initial_vae(stage).eval(), torch.zeros(2, 4, 8, 8)
    with torch.no_grad():
        net.top.decoder[-1].weight.zero_()
        assert bound_terms(net, x, noise(stage, np.arange(2), 1)).reconstruction.tolist() == pytest.approx([4 * 64 * np.log(2)] * 2)


@pytest.mark.parametrize(
    "stage", [PLAIN, replace(PLAIN, encoder=ConvN(), views=CropViews(1), schedule=Cosine()), HALF], ids=["plain", "crops", "bf16"]
)
def test_it_goes_on_to_the_last_bit_after_any_epoch(bench, stage):
    whole = bench.run(stage)
    assert_same(bench.run(stage, [1] * stage.epochs), whole)
    losses = [line["loss"] for line in curve(whole)]
    assert losses[-1] < losses[0]
    assert whole.results == {name: curve(whole)[-1][name] for name in ("loss", "reconstruction", "kl")}
    assert whole.results["loss"] == pytest.approx(whole.results["reconstruction"] + whole.results["kl"])


def test_half_precision_trains_another_network_and_keeps_full_weights(bench):
    half, full = bench.run(HALF), bench.run(PLAIN)
    assert {weight.dtype for weight in half.weights().values() if weight.is_floating_point()} == {torch.float32}
    assert half.results != full.results
    assert half.results["loss"] == pytest.approx(full.results["loss"], rel=0.05)


def test_the_draws_of_an_image_follow_from_seed_epoch_and_id():
    ids = np.array([7, 3, 11, 2**40, 5])
    whole = noise(PLAIN, ids, 1)
    assert all(torch.equal(noise(PLAIN, ids[rows], 1), whole[rows]) for rows in ([0], [1, 2], [4, 3, 0]))
    others = [noise(PLAIN, ids, 2), noise(replace(PLAIN, seed=1), ids, 1), noise(PLAIN, ids + 1, 1)]
    assert all((other != whole).all() for other in others)


def test_it_begins_with_the_weights_of_any_pretraining_and_its_features_are_transferred(bench):
    untrained = Untrained(data=DATA, encoder=PLAIN.encoder, seed=0)
    bench.run(untrained)
    start, initial = bench.done[untrained].weights(), initial_vae(PLAIN).state_dict()
    assert all(torch.equal(initial[name], weight) for name, weight in start.items())
    bench.run(PLAIN)
    x = torch.rand(2, 1, 8, 8)
    with torch.no_grad():
        assert bench.net(PLAIN).features(x).shape == (2, PLAIN.encoder.width)
        assert bench.net(PLAIN)(x).shape == (2, PLAIN.latent)
    tuned = Finetune(PLAIN, data=DATA, seed=0, epochs=1)
    assert bench.run(tuned).arrays()["head_weight"].shape[-1] == PLAIN.encoder.width
    assert 0 < bench.run(KNN(PLAIN, on=DATA, k=5)).results["accuracy"] <= 100


def test_it_is_watched_and_given_a_gpu_as_a_pretraining_is(bench):
    watching = Monitor(KNN(PLAIN, on=DATA, k=5), "monitor/knn", bench.workspace(bench.folder / "monitor"))
    first = curve(bench.run(replace(PLAIN, epochs=1), monitor=watching))[0]
    assert {"monitor/knn", "rankme", "feature_std"} <= first.keys()
    assert with_gpus(PLAIN) == Resources(1.0, 1.0)


def test_a_loss_that_is_not_finite_diverges(bench):
    with pytest.raises(Diverged, match=r"the loss became (nan|inf) in epoch \d"):
        bench.run(replace(PLAIN, optimizer=SGD(lr=1e30)))


@pytest.mark.parametrize("size", [(28, 28), (8, 8), (32, 32), (25, 31), (4, 1)])
def test_the_decoder_goes_through_the_sizes_of_the_encoder_in_reverse(size):
    sizes = {ConvN: [], DeconvN: []}
    encoder = ConvN().build(2, torch.Generator()).eval()
    decoder = DeconvN().build(3, (2, *size), torch.Generator()).eval()
    for kind, net in ((ConvN, encoder), (DeconvN, decoder)):
        for layer in net:
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                layer.register_forward_hook(lambda _, x, y, kind=kind: sizes[kind].append((x[0].shape[1:], y.shape[1:])))
    with torch.no_grad():
        encoder(torch.zeros(1, 2, *size))
        decoder(torch.zeros(1, 3))
    assert [(y[1:], x[1:]) for x, y in sizes[ConvN]][::-1] == [(x[1:], y[1:]) for x, y in sizes[DeconvN]]
    assert [x[0] for x, _ in sizes[DeconvN]] == [64, 64, 32]
    assert sizes[DeconvN][-1][1] == (2, *size)


def test_the_decoders_weights_follow_from_the_generator_alone():
    def weights(seed):
        return DeconvN().build(3, (1, 8, 8), torch.Generator().manual_seed(seed)).state_dict()

    state = torch.get_rng_state()
    first, second, other = weights(1), weights(1), weights(2)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first if first[name].ndim > 1)


REFUSED = {
    "two views": (lambda: replace(PLAIN, views=CropViews(2)), r"VAE\.views"),
    "no latent variable": (lambda: replace(PLAIN, latent=0), r"VAE\.latent"),
    "latent variables without end": (lambda: replace(PLAIN, latent=10**12), r"VAE\.latent = 1000000000000"),
    "a decoder without end": (lambda: DeconvN(10**12), r"DeconvN\.n = 1000000000000"),
    "negative beta": (lambda: replace(PLAIN, beta=-1.0), r"VAE\.beta"),
    "beta without end": (lambda: replace(PLAIN, beta=float("inf")), r"VAE\.beta"),
    "a batch of one": (lambda: replace(PLAIN, batch_size=1), r"VAE\.batch_size"),
    "no epochs": (lambda: replace(PLAIN, epochs=0), r"VAE\.epochs"),
    "precision": (lambda: replace(PLAIN, precision="fp16"), r"VAE\.precision"),
    "seed": (lambda: replace(PLAIN, seed=-1), r"VAE\.seed"),
    "shorter than its warm-up": (lambda: replace(PLAIN, schedule=Warmup(Cosine(), epochs=3)), r"VAE\.schedule"),
    "images too large to mirror": (lambda: replace(PLAIN, data=STL10()), r"VAE\.decoder: DeconvN\(n=1\) .* not 96 x 96"),
    "an encoder for a decoder": (lambda: replace(PLAIN, decoder=ConvN()), r"VAE\.decoder"),
    "a decoder without filters": (lambda: DeconvN(0), r"DeconvN\.n"),
    "a batch larger than the data": (lambda: PLAIN.check(lambda data: 39), r"VAE\.batch_size = 40: is larger than the data \(39"),
    "views of another size": (
        lambda: replace(PLAIN, views=Augment((Resize(16),), views=1)).check(lambda data: 90),
        r"VAE\.views = .*\(1, 16, 16\)",
    ),
    "too few channels for the bits": (
        lambda: replace(PLAIN, views=BitsBeside(CropFlip(), 3)).check(lambda data: 90),
        r"BitsBeside\.bits = 3",
    ),
}


@pytest.mark.parametrize(("make", "start"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_together_is_refused_by_field(make, start):
    with pytest.raises(UserError, match=rf"^{start}.+\. .+"):
        make()


def test_the_protocols_values_fit():
    stage = VAE(data=RandomBits(bits=20, of=MNIST()), encoder=ConvN(), batch_size=1000, epochs=10, seed=0, optimizer=Adam(lr=1e-3))
    stage.check(lambda data: 60_000)
    assert (stage.latent, stage.beta, stage.length) == (64, 1.0, 10)
    assert [stage.schedule.within(1e-3, 1, 10, 0, 60), stage.schedule.at(1e-3, 10, 10)] == [1e-3, 0.0]
