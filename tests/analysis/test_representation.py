"""Alignment and uniformity against closed forms and the quadratic-memory definition."""

import inspect
import math
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist
from scipy.special import ive, loggamma

from analysis import Alignment, LiDAR, RankMe, Spectrum, Uniformity
from contrast.augmentations.views import Views
from contrast.component import UserError
from contrast.heads import Classifier, MLPHead, StageHeads
from contrast.model import Net
from contrast.random import uniform
from contrast.signals import alignment, lidar, power_law, rankme, spectrum, uniformity


@dataclass(frozen=True)
class Noisy(Views):
    """Each view is the image plus noise of its own, drawn from the sample's id."""

    amount: float = 0.1
    views: int = 2

    @property
    def count(self):
        return self.views

    def __call__(self, pixels, ids, seed, epoch):
        noise = [uniform(seed, "noisy", ids, pixels[0].numel(), epoch=epoch, view=view) for view in range(self.views)]
        return pixels[:, None] + self.amount * torch.from_numpy(np.stack(noise, 1)).float().view(len(ids), self.views, *pixels.shape[1:])


def test_uniformity_equals_the_definition_over_all_pairs_to_1e_9():
    x = torch.randn(700, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    unit = torch.nn.functional.normalize(x, dim=1).numpy()
    for t in (0.5, 2.0):
        expected = np.log(np.exp(-t * pdist(unit, "sqeuclidean")).mean())
        assert uniformity(x, t).item() == pytest.approx(expected, abs=1e-9)


def test_uniformity_of_a_collapsed_representation_is_0():
    assert uniformity(torch.ones(50, 8)).item() == pytest.approx(0, abs=1e-6)


def test_uniformity_of_two_antipodal_points_is_minus_4t():
    x = torch.tensor([[3.0, 0.0], [-0.5, 0.0]])
    assert uniformity(x, 2.0).item() == pytest.approx(-8, abs=1e-6)
    assert uniformity(x, 0.5).item() == pytest.approx(-2, abs=1e-6)


def test_uniformity_of_the_uniform_distribution_in_many_dimensions_is_near_minus_2t():
    x = torch.randn(1500, 2000, generator=torch.Generator().manual_seed(0))
    assert uniformity(x, 2.0).item() == pytest.approx(-4, abs=2e-2)


@pytest.mark.parametrize("d", [3, 16, 64])
def test_uniformity_of_the_uniform_distribution_is_that_of_bessels_function(d):
    """The mean of exp(-t |x - y|^2) is exp(-2t) 0F1(; d/2; t^2), and 0F1 a modified Bessel function."""
    t, x = 2.0, torch.randn(10_000, d, generator=torch.Generator().manual_seed(0))
    order = d / 2 - 1
    expected = loggamma(d / 2) - order * math.log(t) + math.log(ive(order, 2 * t)) + 2 * t - 2 * t
    assert uniformity(x, t).item() == pytest.approx(expected, abs=1e-2)


def test_uniformity_of_float32_features_is_exact_to_their_rounding_whatever_the_tiles():
    x = torch.randn(3000, 24, generator=torch.Generator().manual_seed(0)) + 1
    assert uniformity(x).item() == pytest.approx(uniformity(x.double()).item(), abs=2**-24)
    assert uniformity(x, t=200.0).item() == pytest.approx(uniformity(x.double(), t=200.0).item(), rel=1e-6), "nothing underflows"
    order = torch.randperm(3000, generator=torch.Generator().manual_seed(1))
    assert uniformity(x.double()[order]).item() == pytest.approx(uniformity(x.double()).item(), abs=1e-12)


def made(kind, n=2500, d=64):
    draw = partial(torch.randn, generator=torch.Generator().manual_seed(0))
    scale = torch.arange(1, d + 1) ** -1.0
    kinds = {
        "even": lambda: draw(n, d),
        "ten clusters": lambda: 3 * draw(10, d)[torch.arange(n) % 10] + draw(n, d),
        "a power law": lambda: draw(n, d) * scale,
        "behind a ReLU": lambda: draw(n, d).relu(),
        "nearly collapsed": lambda: 1 + 0.01 * draw(n, d),
    }
    return kinds[kind]()


@pytest.mark.parametrize("kind", ["even", "ten clusters", "a power law", "behind a ReLU", "nearly collapsed"])
def test_uniformity_by_bfloat16_products_is_within_1e_4_and_relative_to_the_spread(kind):
    """The mean is taken off first, so what all features share costs no digits."""
    exact = uniformity(made(kind).double()).item()
    assert uniformity(made(kind), precision=torch.bfloat16).item() == pytest.approx(exact, abs=1e-4, rel=1e-4)


def test_uniformity_by_bfloat16_products_of_few_tight_clusters_is_within_1e_2():
    """Where all pairs of two clusters are rounded alike, and no mean helps."""
    for clusters in (2, 10):
        draw = partial(torch.randn, generator=torch.Generator().manual_seed(clusters))
        x = draw(clusters, 64).repeat(4000 // clusters, 1) + 1e-3 * draw(4000 // clusters * clusters, 64)
        assert uniformity(x, precision=torch.bfloat16).item() == pytest.approx(uniformity(x.double()).item(), abs=1e-2)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_uniformity_of_features_in_half_precision_is_that_of_their_values(dtype):
    x = made("even", 300).to(dtype)
    for t in (0.5, 2.0, 1e5):
        assert uniformity(x, t).item() == pytest.approx(uniformity(x.double(), t).item(), rel=1e-4)


def test_alignment_refuses_views_of_different_shapes():
    with pytest.raises(ValueError, match="Give equal shapes"):
        inspect.unwrap(alignment)(torch.ones(10, 3), torch.ones(1, 3))  # as it is outside of these tests, which check types first


@pytest.mark.parametrize("n", [2, 3, 1025, 2049])
@pytest.mark.parametrize("t", [2.0, 300.0])
def test_uniformity_of_a_last_tile_of_one_row_has_its_pairs_and_gradients(n, t):
    x = made("a power law", n, 4).double().requires_grad_()
    unit = torch.nn.functional.normalize(x, dim=1)
    expected = (-t * torch.pdist(unit).square()).logsumexp(0) - math.log(n * (n - 1) // 2)
    found = uniformity(x, t)
    assert found.item() == pytest.approx(expected.item(), abs=1e-9)
    (slope,), (expected_slope,) = (torch.autograd.grad(value, x) for value in (found, expected))
    torch.testing.assert_close(slope, expected_slope, rtol=1e-7, atol=1e-10)


def test_uniformity_is_nan_where_a_feature_is_not_finite_and_a_zero_row_lies_at_the_centre():
    for bad in (math.nan, math.inf):
        for t in (2.0, 300.0):
            assert math.isnan(uniformity(torch.tensor([[1.0, 0], [0, 1], [bad, 0]]), t).item())
    assert uniformity(torch.tensor([[1.0, 0], [0, 0]]), 2.0).item() == pytest.approx(-2)


def test_uniformity_has_a_gradient_and_refuses_one_sample():
    x = torch.randn(6, 3, dtype=torch.float64, requires_grad=True, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(uniformity, (x,))
    with pytest.raises(ValueError, match="two or more"):
        uniformity(torch.ones(1, 3))


def test_alignment_closed_forms():
    x = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    y = torch.tensor([[0.0, 5.0], [0.0, -1.0]])  # distances sqrt 2 and 2 on the sphere
    assert alignment(x, 3 * x).item() == pytest.approx(0, abs=1e-12)
    assert alignment(x, y).item() == pytest.approx((2 + 4) / 2)
    assert alignment(x, y, alpha=1.0).item() == pytest.approx((2**0.5 + 2) / 2)
    assert alignment(x, y, alpha=3.0).item() == pytest.approx((2**1.5 + 8) / 2)


def test_the_measures_read_encoder_features(lab, blobs, tuned, conv_net):
    data = blobs().held_out("search")
    stage = lab.put(tuned(data), conv_net)
    pixels, _ = lab.workspace.pixels(data)
    ids = lab.workspace.images(data).ids
    with torch.no_grad():
        features = conv_net.features(pixels)
        first, second = map(conv_net.features, Noisy()(pixels, ids, 3, 0).unbind(1))
    results, _ = lab.run(Uniformity(stage, on=data, t=1.5))
    assert results == {"uniformity": pytest.approx(uniformity(features, 1.5).item(), abs=1e-6)}
    results, _ = lab.run(Alignment(stage, on=data, views=Noisy(), seed=3, alpha=1.0))
    assert results == {"alignment": pytest.approx(alignment(first, second, 1.0).item(), abs=1e-6)}
    assert results["alignment"] > 0
    assert lab.run(Alignment(stage, on=data, views=Noisy(amount=0.0)))[0]["alignment"] == pytest.approx(0, abs=1e-9)

    results, _ = lab.run(Uniformity(stage, on=data, precision="bf16"))
    assert results["uniformity"] == pytest.approx(uniformity(features, precision=torch.bfloat16).item(), abs=1e-6)


@pytest.fixture
def headed(lab, blobs, pretrained, conv_net):
    """A pretraining with a head, and its network: the head on the encoder of `conv_net`."""

    def make(head):
        top = head.build(32, 4, torch.Generator().manual_seed(0))
        net = Net(blobs.mean, blobs.std, conv_net.encoder, top).eval()
        return lab.put(pretrained(blobs(), head), net), net

    return make


def test_measures_read_what_stands_before_the_projection_head_or_behind_it(lab, blobs, headed):
    stage, net = headed(MLPHead(2, out=24))
    data = replace(blobs(), part="test")
    pixels, _ = lab.workspace.pixels(data)
    ids = lab.workspace.images(data).ids
    with torch.no_grad():
        h, z = net.features(pixels), net(pixels)
        views = [net(view) for view in Noisy()(pixels, ids, 0, 0).unbind(1)]
    for at, x in ((None, h), ("projection", z)):
        assert lab.run(Uniformity(stage, on=data, at=at))[0]["uniformity"] == pytest.approx(uniformity(x).item(), abs=1e-6)
        assert lab.run(RankMe(stage, on=data, at=at))[0] == {"rankme": pytest.approx(rankme(x), rel=1e-5)}
        results, arrays = lab.run(Spectrum(stage, on=data, at=at, first=2))
        fit = power_law(spectrum(x), 2, x.shape[1] // 2)
        assert results["alpha"] == pytest.approx(fit.alpha, rel=1e-3)
        assert results["alpha_distance"] == abs(results["alpha"] - 1)
        assert arrays["fit"] == pytest.approx([2, x.shape[1] // 2, fit.offset, fit.alpha], rel=1e-3)
        assert results["participation_ratio"] == pytest.approx(arrays["eigenvalues"].sum() ** 2 / (arrays["eigenvalues"] ** 2).sum())
        ten = Noisy(amount=0.3, views=10)(pixels, ids, 4, 0).flatten(0, 1)
        with torch.no_grad():
            shown = (net.features(ten) if at is None else net(ten)).view(len(pixels), 10, -1)
        assert lab.run(LiDAR(stage, on=data, views=Noisy(0.3, 10), seed=4, at=at))[0] == {"lidar": pytest.approx(lidar(shown), rel=1e-3)}
    found = lab.run(Alignment(stage, on=data, views=Noisy(), at="projection"))[0]
    assert found == {"alignment": pytest.approx(alignment(*views).item(), abs=1e-6)}


def test_a_projection_is_refused_of_what_was_not_trained_with_one(blobs, tuned, pretrained):
    data = blobs()
    for stage in (tuned(data), pretrained(data, Classifier()), pretrained(data, StageHeads(stages=3))):
        for measure in (RankMe, Spectrum, Uniformity):
            measure(stage, on=data)
            with pytest.raises(UserError, match=rf"{measure.__name__}\.at = 'projection': asks for one projection head.*Use None"):
                measure(stage, on=data, at="projection")


def test_the_fit_of_a_spectrum_needs_three_ranks(lab, blobs, tuned, conv_net):
    data = blobs()
    stage = lab.put(tuned(data), conv_net)
    with pytest.raises(UserError, match=r"Spectrum\.first = 10: must leave 3 ranks up to min\(N, d\) / 2 = 8, of 16 images\. Lower it"):
        Spectrum(stage, on=data).check(lambda dataset: 16)
    Spectrum(stage, on=data).check(lambda dataset: 24)
    with pytest.raises(UserError, match="of 160 images and 32 features"):
        lab.run(Spectrum(stage, on=data, first=15))


def test_bad_fields_are_refused(blobs, tuned):
    data, stage = blobs(), tuned(blobs())
    for make, field in (
        (lambda: Uniformity(stage, on=data, t=0.0), "t"),
        (lambda: Alignment(stage, on=data, views=Noisy(views=1)), "views"),
        (lambda: Alignment(stage, on=data, views=Noisy(), alpha=-1.0), "alpha"),
        (lambda: Spectrum(stage, on=data, first=0), "first"),
        (lambda: Uniformity(stage, on=data, precision="fp16"), "precision"),
        (lambda: RankMe((stage, stage), on=data), "of"),
        (lambda: RankMe(stage, on=data, at="head"), "at"),
        (lambda: LiDAR(stage, on=data, views=Noisy(views=9)), "views"),
        (lambda: LiDAR(stage, on=data, views=Noisy(views=10), delta=0.0), "delta"),
        (lambda: LiDAR(stage, on=data, views=Noisy(views=10)).check(lambda dataset: 1), "on"),
        (lambda: Uniformity(stage, on=data).check(lambda dataset: 1), "on"),
        (lambda: Alignment((stage, stage), on=data, views=Noisy()), "of"),
    ):
        with pytest.raises(UserError, match=rf"\.{field} = "):
            make()
