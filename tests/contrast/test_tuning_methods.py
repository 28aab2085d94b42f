"""What every way to fine-tune keeps: finite gradients, a resume to the last bit, sense where a batch has one class; and each one's limits.

`METHODS` holds an example of every exported method; an export without one fails the first test.
"""

import inspect
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from analysis import Accuracy, Progress
from contrast import (
    BSS,
    DELTA,
    L2SP,
    RIFLE,
    SCL,
    SGD,
    Adam,
    AdversarialTraining,
    BiTuning,
    Classifier,
    CoreTuning,
    Cosine,
    CropFlip,
    CropViews,
    Digits,
    Diverged,
    FeatureMixup,
    Finetune,
    InputGradient,
    MixAndMatch,
    MLPClassifier,
    MLPHead,
    Plain,
    SmallResNet,
    StageHeads,
    SupCon,
    TuningMethod,
    Untrained,
    UserError,
    finetuning,
)
from contrast.batches import Passes
from contrast.finetuning.bss import shrinkage
from contrast.finetuning.l2sp import Start, length
from contrast.finetuning.method import Batch, Tuned
from contrast.model import Net
from contrast.optim.rates import set_aside, set_rate
from contrast.random import generator
from contrast.saved import row_files
from tests.bench import Bench, assert_same, curve

TASK = Digits(classes=(1, 3, 5), per_class=20)
START = Untrained(data=TASK, encoder=SmallResNet(2), seed=1)
TUNED = Finetune(START, data=TASK, seed=3, epochs=3, frozen=False, batch_size=25, optimizer=SGD(0.05, weight_decay=0.0))
SMALL = MLPHead(2, out=4)
METHODS = [
    *(SCL(contrastor=SMALL), L2SP(), BSS(0.1, 2), RIFLE(2), RIFLE(1, cyclic=True), FeatureMixup(), CoreTuning(contrastor=SMALL)),
    CoreTuning(1.0, 0.1, 0.2, SMALL, focal=False, partner="strict", pooled=True),
    *(DELTA(), DELTA(attention=False, summed=True), MixAndMatch()),
    *(BiTuning(queue=4, projector=SMALL), BiTuning(0.5, 2, 0.5, 0.2, MLPHead(1, out=4))),
    CoreTuning(1.0, contrastor=SMALL, mining="official", membership="official", normalization="columns", pooled=True, detached=True),
]


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path)
    made.run(START)
    return made


def views_for(method):
    return CropViews() if method.views == 2 else CropFlip()


def tuned(method=None, seed=0, dtype=torch.float64):
    """A network of 8 x 8 images with what a method has beside it, in train mode."""
    encoder = SmallResNet(2).build(1, generator(seed, "encoder"))
    net = Net((0.5,), (0.3,), encoder, Classifier().build(8, 3, generator(seed, "top"))).to(dtype)
    beside = nn.Module() if method is None else method.beside(net, 8, 3, seed)
    return Tuned(net, beside.to(dtype), frozen=False).train()


def batch_of(labels, views=1, seed=0):
    pixels = torch.rand(len(labels), views, 1, 8, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Batch(pixels, torch.tensor(labels), np.arange(len(labels)), seed, 1)


def test_every_exported_method_has_an_example():
    exported = {c for c in vars(finetuning).values() if inspect.isclass(c) and issubclass(c, TuningMethod)} - {TuningMethod}
    assert {type(method) for method in METHODS} == exported


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_a_tuning_goes_on_to_the_last_bit_after_any_epoch(bench, method):
    stage = replace(TUNED, method=method, views=views_for(method))
    assert_same(bench.run(stage, [1, 1]), bench.run(stage))


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("labels", [[0, 1, 2, 0, 1, 2], [1] * 6, [0, 1, 2]], ids=["classes", "one class", "one each"])
def test_loss_and_gradients_are_finite_and_reach_every_weight_that_counts(method, labels):
    model = tuned(method)
    loss = method(model, batch_of(labels, method.views))
    loss.backward()
    assert loss.shape == ()
    assert loss.isfinite()
    grads = {name: p.grad for name, p in model.net.named_parameters()}
    assert all(grad is None or grad.isfinite().all() for grad in [*grads.values(), *(p.grad for p in model.beside.parameters())])
    if len(set(labels)) > 1 or not getattr(method, "detached", None):  # where only mixtures teach the encoder, one class teaches nothing
        assert all(grad is not None for grad in grads.values())
        assert grads["encoder.stem.0.weight"].abs().sum() > 0


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_a_tuning_learns_its_task_and_leaves_the_pretrained_network_as_it_was(bench, method):
    shared = bench.workspace(bench.folder / "look").model(START).net.encoder
    before = {name: tensor.clone() for name, tensor in shared.state_dict().items()}
    stage = replace(TUNED, method=method, views=views_for(method), epochs=6)
    lines = curve(bench.run(stage))
    assert lines[-1]["loss"] < lines[0]["loss"] or isinstance(method, RIFLE)
    assert all(torch.equal(before[name], tensor) for name, tensor in shared.state_dict().items())
    assert not any(parameter.requires_grad for parameter in shared.parameters())


def test_the_kept_log_probabilities_are_those_of_the_network_before_and_after(bench):
    """1e-6 absolute: epoch 0 is the fresh classifier on the encoder as it came, the last epoch the network that is left."""
    kept = bench.run(replace(TUNED, views=CropFlip())).arrays()
    pixels = torch.from_numpy(np.array(TASK.load(None).pixels)).float() / 255
    frozen = bench.run(replace(TUNED, frozen=True)).arrays()
    np.testing.assert_allclose(kept["log_probs"][0], frozen["log_probs"][0], atol=1e-6)
    expected = functional.log_softmax(bench.net(replace(TUNED, views=CropFlip()))(pixels), dim=1)
    np.testing.assert_allclose(kept["log_probs"][-1], expected, atol=1e-6)
    assert kept["log_probs"].shape == (4, 60, 3)


@pytest.mark.parametrize("changes", [{}, {"head": MLPClassifier(5)}, {"head": Classifier(bias=False)}, {"steps": 5}], ids=repr)
def test_a_frozen_tuning_through_the_encoder_is_the_one_on_its_features(bench, changes):
    """1e-5 absolute; its weights and buffers stay, bit by bit."""
    stage = replace(TUNED, frozen=True, **changes)
    shared = bench.workspace(bench.folder / "look").model(START).net.encoder
    before = {name: tensor.clone() for name, tensor in shared.state_dict().items()}
    cached, through = bench.run(stage).arrays(), bench.run(replace(stage, views=Plain()))
    np.testing.assert_allclose(cached["log_probs"], through.arrays()["log_probs"], atol=1e-5)
    assert not any(name.startswith("encoder") for name in through.weights())
    assert all(torch.equal(before[name], tensor) for name, tensor in shared.state_dict().items())
    assert_same(bench.run(replace(stage, views=CropFlip()), [1]), bench.run(replace(stage, views=CropFlip())))


@pytest.mark.parametrize(
    "changes",
    [
        {"penalty": InputGradient(0.1)},
        {"head": MLPClassifier(5), "encoder_rate": 0.1},
        {"steps": 2, "optimizer": Adam(0.01)},
        {"precision": "bf16", "method": SCL(contrastor=MLPHead(1, out=4))},
        {"precision": "bf16", "method": DELTA(), "encoder_rate": 0.1},
        {"precision": "bf16", "method": BiTuning(queue=4, projector=SMALL), "views": CropViews(), "head": Classifier(bias=False)},
    ],
    ids=repr,
)
def test_every_regime_goes_on_to_the_last_bit(bench, changes):
    stage = replace(TUNED, **changes)
    assert_same(bench.run(stage, [2]), bench.run(stage))


def test_log_probabilities_that_are_not_as_they_were_written_are_no_state(bench):
    """A flipped byte in those of an earlier epoch: the training begins again, and ends as it would have."""
    whole = bench.run(TUNED)
    for i, harm in enumerate((lambda file: file.write_bytes(file.read_bytes()[:-1] + b"?"), lambda file: file.unlink())):
        folder = bench.folder / f"torn-{i}"
        bench.begin(TUNED, 2, folder)
        assert [file.name for file in row_files(folder)] == ["row-00000.npy", "row-00001.npy", "row-00002.npy"]
        harm(row_files(folder)[1])
        assert_same(bench.run(TUNED, folder=folder), whole)
        assert len(curve(bench.done[TUNED])) == 3


def test_a_state_of_other_weights_is_none(bench):
    """As one of another version of this code, or of another network."""
    folder = bench.folder / "older"
    bench.begin(replace(TUNED, head=MLPClassifier(5)), 2, folder)
    assert_same(bench.run(TUNED, folder=folder), bench.run(TUNED))


@pytest.mark.parametrize("changes", [{}, {"frozen": True, "head": MLPClassifier(5)}], ids=repr)
def test_a_tuning_whose_result_is_no_number_diverged(bench, changes):
    """One step so wide that the weights are finite and what they give is not."""
    stage = replace(TUNED, epochs=1, steps=1, batch_size=60, optimizer=SGD(1e37, momentum=0.0, weight_decay=0.0), **changes)
    with pytest.raises(Diverged, match=r"(loss|weights) became .* in epoch 1"):
        bench.run(stage)


AT_THE_PIXELS = [{"attack": AdversarialTraining(0.1, steps=2)}, {"penalty": InputGradient(0.1)}, {"views": CropFlip()}]


@pytest.mark.parametrize("changes", AT_THE_PIXELS, ids=repr)
def test_a_frozen_encoder_stays_to_the_last_bit_whatever_is_done_at_its_pixels(bench, changes):
    shared = bench.workspace(bench.folder / "look").model(START).net.encoder
    before = {name: tensor.clone() for name, tensor in shared.state_dict().items()}
    bench.run(replace(TUNED, frozen=True, **changes))
    assert all(torch.equal(before[name], tensor) for name, tensor in shared.state_dict().items())
    assert not shared.training
    assert not any(parameter.requires_grad for parameter in shared.parameters())


def test_a_micro_batch_is_seen_by_itself_and_gradients_are_those_of_the_mean(bench):
    """By hand: one step over parts of 25, 25 and the last 11, whose single image over joined them, without momentum; 1e-5 relative."""
    data = replace(TASK, classes=(1, 3, 5, 7), per_class=15)
    stage = replace(TUNED, data=data, epochs=1, steps=1, batch_size=60, micro_batch=25, method=SCL(contrastor=SMALL))
    stage = replace(stage, schedule=Cosine(1.0), optimizer=SGD(0.1, momentum=0.0, weight_decay=0.0))
    left, images = bench.run(stage).weights(), data.load(None)
    (rows,) = stage.passes(images.labels, images.ids, 60, stage.seed, 1)
    net = stage._net(bench.workspace(bench.folder / "look"))
    model = Tuned(net, stage.method.beside(net, 8, 4, stage.seed), frozen=False).train()
    total = torch.zeros(())
    for part in (rows[:25], rows[25:50], rows[50:]):
        pixels = torch.from_numpy(images.pixels[part]).float()[:, None] / 255
        seen = Batch(pixels, torch.from_numpy(images.labels[part]), images.ids[part], stage.seed, 1)
        total = total + len(part) / 60 * stage.method(model, seen)
    total.backward()
    for name, weight in net.named_parameters():
        torch.testing.assert_close(left[name], (weight - 0.1 * weight.grad).detach(), rtol=1e-4, atol=1e-6)
    assert_same(bench.run(stage), bench.run(replace(stage)))
    assert replace(stage, micro_batch=60) == replace(stage, micro_batch=None)


def test_the_attacked_copy_of_an_image_has_draws_of_its_own(bench):
    seen = []

    class Watching(FeatureMixup):
        def __call__(self, tuned, batch):
            seen.append(batch.ids)
            return super().__call__(tuned, batch)

    stage = replace(TUNED, epochs=1, attack=AdversarialTraining(0.1, steps=1, clean=True))
    object.__setattr__(stage, "method", Watching())
    bench.run(stage)
    assert all(len(set(ids)) == len(ids) == 2 * len(set(ids % (1 << 52))) for ids in seen)


@pytest.mark.parametrize("off", [RIFLE(0), L2SP(0.0, 0.0), BSS(0.0), SCL(0.0), DELTA(0.0, 0.0), MixAndMatch(0.0)], ids=repr)
def test_a_method_without_its_term_is_cross_entropy(bench, off):
    """RIFLE without a restart to the last bit, the others, whose sums are formed in another order, to 1e-6."""
    plain, other = bench.run(TUNED), bench.run(replace(TUNED, method=off))
    if off == RIFLE(0):
        assert_same(plain, other)
    np.testing.assert_allclose(plain.arrays()["log_probs"], other.arrays()["log_probs"], atol=1e-6)


def test_a_penalty_of_weight_0_is_none_at_all():
    assert replace(TUNED, penalty=InputGradient(0.0)) == TUNED


def test_scl_is_cross_entropy_and_supcon_on_the_contrastor():
    method, batch = SCL(0.5, 0.2, MLPHead(2, out=4)), batch_of([0, 1, 0, 1, 2, 2])
    model = tuned(method)
    h = model.net.features(batch.first)
    expected = functional.cross_entropy(model.net.top(h), batch.labels) + 0.5 * SupCon(0.2)(model.beside(h)[:, None], batch.labels)
    torch.testing.assert_close(method(model, batch), expected, rtol=1e-12, atol=0)


def test_l2sp_is_the_squared_distance_from_the_start_and_the_length_of_the_classifier():
    """0 of the encoder before the first step; then (alpha n c^2 + beta |head|^2) / 2 where each of n weights moved by c."""
    model = tuned()
    start = Start(model.net.encoder)
    assert start.distance(model.net.encoder) == 0
    with torch.no_grad():
        for weight in model.net.encoder.parameters():
            weight.add_(0.1)
    count = sum(weight.numel() for weight in model.net.encoder.parameters())
    torch.testing.assert_close(start.distance(model.net.encoder).item(), 0.01 * count, rtol=1e-12, atol=0)
    weight, bias = model.net.top.weight, model.net.top.bias
    torch.testing.assert_close(length(model.net.top), weight.square().sum() + bias.square().sum())
    assert not start.state_dict()


def test_shrinkage_is_0_of_features_without_full_rank_and_k_c_squared_of_c_times_the_identity():
    draw = torch.Generator().manual_seed(0)
    low = torch.rand(8, 2, generator=draw, dtype=torch.float64) @ torch.rand(2, 6, generator=draw, dtype=torch.float64)
    assert shrinkage(low, 3) < 1e-24
    torch.testing.assert_close(shrinkage(3.0 * torch.eye(5, dtype=torch.float64), 2).item(), 18.0)
    full = torch.rand(6, 9, generator=draw, dtype=torch.float64)
    torch.testing.assert_close(shrinkage(full, 6), full.square().sum())
    full.requires_grad_(True)
    assert torch.autograd.gradcheck(lambda x: shrinkage(x, 2), full)


def test_rifle_draws_the_classifier_anew_at_the_first_epochs_of_its_periods_and_at_no_other():
    """10 epochs and 3 restarts: periods of 2 epochs and a last one of 4. Equal draws on a resume."""
    changed = []
    for epoch in range(1, 11):
        model, again = tuned(dtype=torch.float32), tuned(dtype=torch.float32)
        before = model.net.top.weight.clone()
        for each in (model, again):
            RIFLE(3).begin(each, lambda drawn: Classifier().build(8, 3, drawn), 0, epoch, 10)
        assert torch.equal(model.net.top.weight, again.net.top.weight)
        if not torch.equal(before, model.net.top.weight):
            changed.append(epoch)
    assert changed == [3, 5, 7]
    rates = [RIFLE(3, cyclic=True).head_lr(2.0, epoch, 10) for epoch in range(1, 11)]
    np.testing.assert_allclose(rates, [2, 1, 2, 1, 2, 1, 2, 2 - 2 * (1 - 0.5**0.5) / 2, 1, 1 - 0.5**0.5], rtol=1e-12)


def test_parameters_that_are_set_aside_have_a_rate_of_their_own():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    set_aside(optimizer, net[0].parameters(), {"share": 0.1})
    set_aside(optimizer, net[1].parameters(), {"own": 7.0})
    set_aside(optimizer, net[0].parameters(), {"share": 0.5})
    set_rate(optimizer, 2.0)
    rates = {parameter: group["lr"] for group in optimizer.param_groups for parameter in group["params"]}
    assert [rates[parameter] for parameter in net.parameters()] == [1.0, 1.0, 7.0, 7.0]
    assert len(rates) == 4


def test_the_encoder_learns_at_its_share_of_the_rate(bench):
    """One step without momentum: it moves by a tenth, the classifier as far as without."""
    one = replace(TUNED, epochs=1, steps=1, optimizer=SGD(0.05, momentum=0.0, weight_decay=0.0))
    start = bench.net(START).encoder.state_dict()
    full, tenth = (bench.run(stage).weights() for stage in (one, replace(one, encoder_rate=0.1)))
    for name, weight in bench.net(START).encoder.named_parameters():
        moved = full[f"encoder.{name}"] - weight, tenth[f"encoder.{name}"] - start[name]
        torch.testing.assert_close(moved[1], 0.1 * moved[0], rtol=1e-3, atol=1e-7)
    assert torch.equal(full["top.weight"], tenth["top.weight"])


def test_an_epoch_of_steps_goes_through_whole_passes_in_turn():
    """7 images in batches of 3: a pass is 3 batches, or 2 where a single image is left out; 5 steps an epoch run on through passes."""
    ids = np.arange(10, 17)
    steps = [batch for epoch in (1, 2, 3) for batch in Passes(5, single=True)(ids, ids, 3, 0, epoch)]
    passes = [np.concatenate(steps[start : start + 3]) for start in range(0, 15, 3)]
    assert all(sorted(rows) == list(range(7)) for rows in passes)
    assert not np.array_equal(passes[0], passes[1])
    assert [len(batch) for batch in Passes()(ids, ids, 3, 0, 1)] == [3, 3]
    numbers = [Passes(5, single=True).number(7, 3, epoch, step) for epoch in (1, 2) for step in range(5)]
    assert numbers == [1, 1, 1, 2, 2, 2, 3, 3, 3, 4]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: replace(TUNED, frozen=True, method=SCL()), r"Finetune\.method = .*: tunes the encoder"),
        (lambda: replace(TUNED, frozen=True, encoder_rate=0.1), r"Finetune\.encoder_rate = 0.1: has no effect on a frozen encoder"),
        (lambda: replace(TUNED, encoder_rate=0.0), r"Finetune\.encoder_rate = 0.0: must be above 0"),
        (lambda: replace(TUNED, head=MLPHead(2)), r"Finetune\.head = .*: gives no logits"),
        (lambda: replace(TUNED, views=CropViews()), r"Finetune\.views = .*: makes 2 views, and 1 of an image"),
        (lambda: replace(TUNED, method=BSS(k=26)), r"BSS\.k = 26: is above the batch \(25 images\)"),
        (lambda: replace(TUNED, method=RIFLE(3)), r"RIFLE\.restarts = 3: makes more periods than the 3 epochs"),
        (lambda: replace(TUNED, method=SCL(), penalty=InputGradient(0.1)), r"Finetune\.penalty = .*: goes with cross-entropy alone"),
        (lambda: replace(TUNED, steps=0), r"Finetune\.steps = 0: must be at least 1"),
        (lambda: replace(TUNED, batch_size=1), r"Finetune\.batch_size = 1: must be at least 2"),
        (lambda: replace(TUNED, data=Digits(classes=(1,))), r"Finetune\.data = .*: must have images of two classes or more"),
        (lambda: replace(TUNED, of=Accuracy(TUNED, on=TASK)), r"Finetune\.of = .*: must be the stage that trained"),
        (lambda: replace(TUNED, frozen=True, precision="bf16"), r"Finetune\.precision = 'bf16': has no effect"),
        (lambda: replace(TUNED, micro_batch=1), r"Finetune\.micro_batch = 1: must be at least 2"),
        (lambda: replace(TUNED, method=L2SP(), optimizer=SGD(0.1)), r"Finetune\.optimizer = .*: has weight decay beside L2SP"),
        (lambda: replace(TUNED, method=BSS(k=20)), r"BSS\.k = 20: is above the width of the features"),
        (lambda: replace(TUNED, method=BSS(k=8)).check(lambda data: 7), r"BSS\.k = 8: is above the batch \(7 images\)"),
        (lambda: RIFLE(0, cyclic=True), r"RIFLE\.cyclic = True: has no effect without a restart"),
        (lambda: CoreTuning(focal=False, detach_weight=True), r"CoreTuning\.detach_weight = True: has no effect"),
        (lambda: Progress(replace(TUNED, frozen=True, views=CropFlip()), on=TASK), r"Progress\.on = .*: needs the classifiers of all"),
        (lambda: replace(TASK, fraction=0.01).load(None), r"Digits\.fraction = 0.01: leaves class 1, of 20 images, without one"),
        (lambda: SCL(contrastor=Classifier()), r"SCL\.contrastor = .*: does not give one projection"),
        (lambda: SCL(contrastor=StageHeads()), r"SCL\.contrastor = StageHeads.*: does not give one projection\. Use MLPHead\(2"),
        (lambda: CoreTuning(contrastor=StageHeads()), r"CoreTuning\.contrastor = StageHeads.*: does not give one projection"),
        (lambda: CoreTuning(contrastor=Classifier()), r"CoreTuning\.contrastor = .*: does not give one projection"),
        (lambda: SCL(eta=-1.0), r"SCL\.eta = -1.0: must be 0 or above"),
    ],
    ids=lambda value: "" if callable(value) else value[:24],
)
def test_what_has_no_sense_is_refused(make, message):
    with pytest.raises(UserError, match=message):
        make()
