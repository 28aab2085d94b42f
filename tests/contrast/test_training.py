"""Training is a function of its value: not of where it was interrupted, of what watched it, or of what else was drawn.

Networks of a few thousand weights are trained on digits, cut off after every epoch and gone on with in a new workspace;
weights are compared bit by bit. The golden curve is the alarm for any change of results: raise the `version` of what
changed, then freeze it anew with `python tests/contrast/test_training.py`.
"""

import json
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import KNN
from contrast import (
    LARS,
    SGD,
    VAE,
    Adam,
    Classifier,
    ClassPairs,
    ContrastiveInputGradient,
    ConvN,
    Cosine,
    CosineSteps,
    CropViews,
    CrossEntropy,
    CutMix,
    DecaySteps,
    Digits,
    Diverged,
    GeneralizedContrastive,
    InputDifference,
    InputGradient,
    Layerwise,
    LayerwiseInputGradient,
    LinearDecay,
    MaxMargin,
    MixUp,
    MLPHead,
    NPairs,
    NTXent,
    Plain,
    Pretrain,
    RMSProp,
    SlicedWasserstein,
    SmallResNet,
    StageHeads,
    SupCon,
    SupConIn,
    Triplet,
    Untrained,
    UserError,
    Warmup,
    Workspace,
)
from contrast.model import Net
from contrast.pretrain import initial_net
from contrast.training import train
from sweeps.fingerprint import fingerprint
from tests.bench import Bench, assert_same, curve

GOLDEN = Path(__file__).parents[1] / "golden" / "curve.json"
FROZEN = Pretrain(
    data=Digits(per_class=40),
    encoder=SmallResNet(4),
    views=CropViews(),
    loss=NTXent(0.1),
    head=MLPHead(2, out=16),
    batch_size=64,
    epochs=3,
    seed=0,
    optimizer=SGD(lr=0.05),
)
DATA = Digits(per_class=9)
SIMCLR = replace(FROZEN, data=DATA, encoder=SmallResNet(2), head=MLPHead(2, out=8), batch_size=40, epochs=4)
SUPCE = replace(SIMCLR, views=CropViews(1), loss=CrossEntropy(), head=Classifier())
AUTOENCODER = VAE(data=DATA, encoder=SmallResNet(2), batch_size=40, epochs=1, seed=0, optimizer=Adam(1e-3))
METHODS = {
    "SimCLR": SIMCLR,
    "SimCLR, no head": replace(SIMCLR, head=MLPHead(0)),
    "SupCon": replace(SIMCLR, loss=SupCon(0.1)),
    "SupCon inside": replace(SIMCLR, loss=SupConIn(0.1)),
    "SupCE": SUPCE,
    "generalised": replace(SIMCLR, loss=GeneralizedContrastive(0.2, 0.1, scale=8.0)),
    "SimCLR, penalty": replace(SIMCLR, penalty=ContrastiveInputGradient(0.1)),
    "SimCLR, penalty a view, bf16": replace(SIMCLR, penalty=ContrastiveInputGradient(0.01, scaling="per_view"), precision="bf16"),
    "layers": replace(SIMCLR, loss=Layerwise(NTXent(0.1), 3), head=StageHeads(MLPHead(2, 8), 3)),
    "layers, penalty": replace(
        SIMCLR, loss=Layerwise(NTXent(0.1), 3), head=StageHeads(MLPHead(2, 8), 3), penalty=LayerwiseInputGradient(0.1)
    ),
    "N-pairs of images": replace(SIMCLR, loss=NPairs(0.1), views=CropViews(1), batches=ClassPairs(), batch_size=14),
    "N-pairs of views": replace(SIMCLR, loss=NPairs(0.1)),
    "triplets": replace(SIMCLR, loss=Triplet()),
    "SupCon, options": replace(SIMCLR, loss=SupCon(0.1, denominator="one_positive", cap=2, first_view=True)),
    "sliced Wasserstein": replace(SIMCLR, loss=SlicedWasserstein("cube", 1.0)),
    "large margin": replace(SUPCE, loss=MaxMargin()),
    "SupCE, penalty": replace(SUPCE, penalty=InputGradient(0.1)),
    "SupCE, penalty of frozen norms": replace(SUPCE, penalty=InputGradient(0.1, space="normalized", frozen_norms=True)),
    "SupCE, penalty by differences": replace(SUPCE, penalty=InputDifference(0.1)),
    "SimCLR, bf16": replace(SIMCLR, precision="bf16"),
    "SimCLR, Nesterov": replace(SIMCLR, optimizer=SGD(lr=0.05, nesterov=True)),
    "SimCLR, no momentum": replace(SIMCLR, optimizer=SGD(lr=0.05, momentum=0.0)),
    "SimCLR, LARS with warm-up": replace(SIMCLR, optimizer=LARS(lr=2.0), schedule=Warmup(Cosine(), epochs=2)),
    "SimCLR, RMSProp by steps": replace(SIMCLR, optimizer=RMSProp(lr=0.05), schedule=DecaySteps((2,))),
    "SimCLR, Adam": replace(SIMCLR, optimizer=Adam(lr=1e-3), schedule=LinearDecay()),
    "SupCE, MixUp": replace(SUPCE, mix=MixUp()),
    "SupCE, CutMix in chunks": replace(SUPCE, mix=CutMix(), chunk=20),
    "SimCLR, chunks": replace(SIMCLR, chunk=20),
    "SimCLR, chunks and penalty, bf16": replace(SIMCLR, chunk=20, epochs=2, penalty=ContrastiveInputGradient(0.1), precision="bf16"),
    "SimCLR, cosine a step": replace(SIMCLR, schedule=CosineSteps(warmup=1)),
}


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


@cache
def uninterrupted(method):
    return Bench(tempfile.mkdtemp(prefix="training-")).run(METHODS[method])


@pytest.mark.parametrize("method", METHODS)
def test_a_training_goes_on_to_the_last_bit_after_any_epoch(method, bench):
    """Cut off after each, so that every state is gone on from."""
    assert_same(bench.run(METHODS[method], [1] * SIMCLR.epochs), uninterrupted(method))


@settings(max_examples=6, deadline=None)
@given(st.lists(st.integers(0, 3), max_size=4))
def test_a_training_goes_on_to_the_last_bit_however_often_it_was_cut_off(stops):
    with tempfile.TemporaryDirectory() as folder:
        assert_same(Bench(folder).run(SIMCLR, stops), uninterrupted("SimCLR"))


@pytest.mark.parametrize("told", [float("nan"), float("inf")])
def test_an_epoch_that_tells_no_number_diverged(tmp_path, told):
    net = Net((0.5,), (0.5,), torch.nn.Identity(), torch.nn.Linear(2, 2))
    optimizer, workspace = torch.optim.SGD(net.parameters(), 0.1), Workspace(tmp_path, lambda _: None)
    begun = train(FROZEN, workspace, net, net, optimizer, lambda number: {"loss": 1.0, "accuracy": told})
    with pytest.raises(Diverged, match=r"the accuracy became (nan|inf) in epoch 1"):
        next(begun)


def test_a_line_of_the_curve_too_many_does_not_survive_a_resume(bench):
    """A kill between the curve and the state: the epoch is computed again, and counted once."""
    folder = bench.folder / "cut"
    bench.begin(SIMCLR, 2, folder)
    with open(folder / "curve.jsonl", "a") as file:
        file.write('{"epoch": 3, "loss": 99.0}\n{"epo')
    assert_same(bench.run(SIMCLR, folder=folder), uninterrupted("SimCLR"))


def test_the_methods_differ_in_what_they_learn_and_not_in_where_they_start(bench):
    start = bench.run(Untrained(data=DATA, encoder=SIMCLR.encoder, seed=0)).weights()
    ends = {method: uninterrupted(method).weights()["encoder.stem.0.weight"] for method in METHODS}
    for method, stage in METHODS.items():
        initial = initial_net(stage.data, stage.encoder, stage.head, stage.seed).state_dict()
        assert all(torch.equal(initial[name], weight) for name, weight in start.items()), method
        assert not torch.equal(ends[method], start["encoder.stem.0.weight"]), method
    assert len({tuple(end.flatten().tolist()) for end in ends.values()}) == len(METHODS)
    still = replace(SIMCLR, optimizer=SGD(lr=1e-30, weight_decay=0.0), epochs=1)
    learnt_nothing = bench.run(still).weights()
    parameters = [name for name, _ in initial_net(DATA, SIMCLR.encoder, None, 0).named_parameters()]
    assert all(torch.allclose(learnt_nothing[name], start[name], rtol=0, atol=1e-20) for name in parameters)


def test_another_seed_is_another_training(bench):
    one, two = (bench.run(replace(SIMCLR, seed=seed, epochs=1)).weights() for seed in (0, 1))
    assert not torch.equal(one["encoder.stem.0.weight"], two["encoder.stem.0.weight"])


def test_the_learning_rate_of_each_epoch_is_that_of_the_schedule():
    expected = [Cosine(0.1).at(0.05, epoch, 4) for epoch in (1, 2, 3, 4)]
    assert [line["lr"] for line in curve(uninterrupted("SimCLR"))] == expected


def test_a_schedule_may_move_within_an_epoch_and_the_curve_has_its_last_rate():
    schedule = METHODS["SimCLR, LARS with warm-up"].schedule
    expected = [schedule.within(2.0, epoch, 4, 2, 3) for epoch in (1, 2, 3, 4)]  # 90 images in batches of 40
    assert [line["lr"] for line in curve(uninterrupted("SimCLR, LARS with warm-up"))] == expected


@pytest.mark.parametrize(("epochs", "expected"), [(1, [1]), (4, [1, 2, 3, 4]), (45, [*range(2, 45, 2), 45])])
def test_the_monitor_is_called_every_twentieth_of_the_schedule_and_at_the_end(bench, epochs, expected):
    tiny = replace(SIMCLR, data=Digits(per_class=2), batch_size=20, epochs=epochs)
    bench.run(tiny, monitor=lambda model: {"monitor": 1.0})
    assert [line["epoch"] for line in curve(bench.done[tiny]) if "monitor" in line] == expected


def test_a_monitor_does_not_disturb_what_it_watches(bench):
    """Not even one that draws, trains and breaks the network that it is given."""

    def vandal(model):
        torch.manual_seed(0)
        for weight in model.net.parameters():
            weight.fill_(float("nan"))
        model.net.train()(torch.zeros(2, 1, 8, 8))
        return {"monitor": float(torch.rand(()))}

    watched = bench.run(SIMCLR, [2], monitor=vandal)
    alone = uninterrupted("SimCLR")
    assert all(torch.equal(weight, alone.weights()[name]) for name, weight in watched.weights().items())
    assert [{k: v for k, v in line.items() if k != "monitor"} for line in curve(watched)] == curve(alone)


def test_a_monitor_reads_the_network_of_its_epoch_and_nothing_of_it_is_remembered(bench):
    heard = []

    def knn(model):
        heard.append(KNN(SIMCLR, on=DATA, k=5).measure(model, bench.workspace(bench.folder / "monitor"))["accuracy"])
        return {"monitor": heard[-1]}

    bench.run(SIMCLR, monitor=knn)
    assert not bench.memory.features
    assert len(heard) == 4
    assert heard[-1] == bench.run(KNN(SIMCLR, on=DATA, k=5)).results["accuracy"]


def test_half_precision_trains_another_network_and_keeps_full_weights():
    half, full = uninterrupted("SimCLR, bf16"), uninterrupted("SimCLR")
    assert {weight.dtype for weight in half.weights().values() if weight.is_floating_point()} == {torch.float32}
    assert curve(half) != curve(full)
    assert [line["loss"] for line in curve(half)] == pytest.approx([line["loss"] for line in curve(full)], rel=0.05)


@pytest.mark.parametrize(
    "stage", [replace(SIMCLR, optimizer=SGD(lr=1e30)), replace(SUPCE, optimizer=SGD(lr=1e30))], ids=["contrast", "labels"]
)
def test_a_loss_that_is_not_finite_diverges_and_leaves_no_weights(bench, stage):
    with pytest.raises(Diverged, match=r"the loss became (nan|inf) in epoch \d"):
        bench.run(stage)
    assert not list(bench.folder.rglob("weights.safetensors"))


def test_a_last_step_that_leaves_no_finite_weights_diverges(bench):
    with pytest.raises(Diverged, match=r"^the weights became infinite or no numbers in epoch 1$"):
        bench.run(
            replace(
                FROZEN, data=Digits(per_class=4), batch_size=40, epochs=1, loss=NTXent(1e-3), schedule=Cosine(1.0), optimizer=SGD(lr=3e38)
            )
        )


def test_a_batch_larger_than_the_data_is_refused_before_training():
    SIMCLR.check(lambda data: 40)
    with pytest.raises(UserError, match=r"Pretrain\.batch_size = 40: is larger than the data \(39 images\)\. Lower"):
        SIMCLR.check(lambda data: 39)


@pytest.mark.parametrize("stage", [SIMCLR, AUTOENCODER], ids=["Pretrain", "VAE"])
def test_data_that_make_no_batch_are_refused_when_nobody_has_checked(stage, bench):
    """As in a notebook, where a stage is run by hand."""
    with pytest.raises(UserError, match=r"^data has 1 image\(s\): a batch needs 2 or more, .*\(40\)\. Use more images\.$"):
        bench.run(replace(stage, data=Digits(classes=(3,), per_class=1)))


def test_a_penalty_of_weight_0_is_no_penalty():
    for stage, penalty in ((SIMCLR, ContrastiveInputGradient(0.0)), (SUPCE, InputGradient(0.0)), (SUPCE, InputDifference(0.0))):
        assert replace(stage, penalty=penalty) == stage
        assert fingerprint(replace(stage, penalty=penalty)) == fingerprint(stage)
        assert fingerprint(replace(stage, penalty=replace(penalty, weight=1e-9))) != fingerprint(stage)


REFUSED = {
    "penalty of the other loss": (lambda: replace(SIMCLR, penalty=InputGradient(0.1)), "penalty"),
    "the same at weight 0": (lambda: replace(SUPCE, penalty=ContrastiveInputGradient(0.0)), "penalty"),
    "head of the other loss": (lambda: replace(SIMCLR, head=Classifier()), "head"),
    "heads on the stages for a loss on the last": (lambda: replace(SIMCLR, head=StageHeads(stages=3)), "head"),
    "a loss of all layers and one head": (lambda: replace(SIMCLR, loss=Layerwise(NTXent(0.1), 3)), "head"),
    "more layers than stages": (lambda: replace(METHODS["layers"], loss=Layerwise(NTXent(0.1), 4)), "loss"),
    "more heads than stages": (lambda: replace(METHODS["layers"], head=StageHeads(stages=4)), "head"),
    "an encoder without stages": (lambda: replace(METHODS["layers"], encoder=ConvN()), "loss"),
    "views of a loss inside": (lambda: replace(METHODS["layers"], views=CropViews(1)), "views"),
    "N-pairs without pairs": (lambda: replace(SIMCLR, loss=NPairs(), views=CropViews(1)), "batches"),
    "pairs of more classes than there are": (lambda: replace(SIMCLR, batches=ClassPairs(), batch_size=22), "batch_size"),
    "half a pair": (lambda: replace(SIMCLR, batches=ClassPairs(), batch_size=15), "batch_size"),
    "no classifier": (lambda: replace(SUPCE, head=MLPHead()), "head"),
    "one view": (lambda: replace(SIMCLR, views=Plain()), "views"),
    "batch": (lambda: replace(SIMCLR, batch_size=1), "batch_size"),
    "epochs": (lambda: replace(SIMCLR, epochs=0), "epochs"),
    "seed": (lambda: replace(SIMCLR, seed=-1), "seed"),
    "training shorter than its warm-up": (lambda: replace(SIMCLR, schedule=Warmup(Cosine(), epochs=4)), "schedule"),
    "precision": (lambda: replace(SIMCLR, precision="fp16"), "precision"),
}


@pytest.mark.parametrize(("make", "field"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_together_is_refused_by_field(make, field):
    with pytest.raises(UserError, match=rf"^Pretrain\.{field} = .+: .+\. .+"):
        make()


def frozen_curve():
    with tempfile.TemporaryDirectory() as folder:
        return [{"loss": line["loss"], "lr": line["lr"]} for line in FROZEN.run(Workspace(Path(folder), resolve=lambda stage: None))]


def test_the_training_curve_is_the_frozen_one():
    """1e-6 relative: the rounding of another processor's kernels, and nothing more."""
    for found, expected in zip(frozen_curve(), json.loads(GOLDEN.read_text()), strict=True):
        assert found == pytest.approx(expected, rel=1e-6)


if __name__ == "__main__":
    torch.set_num_threads(1)
    GOLDEN.write_text(json.dumps(frozen_curve(), indent=1) + "\n")
