"""The exam that every exported loss, head and encoder must pass; an export without an example here fails it.

A component is a value; its results are finite, differentiable, independent of the order of the batch and, where weights are
drawn, a function of the generator alone.
"""

import inspect
from dataclasses import FrozenInstanceError, fields, replace
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from contrast import attacks, batches, encoders, finetuning, heads, losses, optim, penalties, weights
from contrast.attacks import AdversarialTraining
from contrast.batches import ClassPairs, FullBatches, Passes
from contrast.component import Component
from contrast.encoders import ConvN, Encoder, ResNet18, ResNet34, ResNet50, ResNet101, ResNet200, SmallResNet, TimmEncoder
from contrast.finetuning import BSS, DELTA, L2SP, RIFLE, SCL, BiTuning, CoreTuning, FeatureMixup, MixAndMatch
from contrast.heads import BatchNormHead, Classifier, Head, MLPClassifier, MLPHead, StageHeads, SupConHead
from contrast.losses import (
    AlignmentUniformity,
    BatchHardTriplet,
    CrossEntropy,
    CrossView,
    DistanceWeightedTriplet,
    DrLIM,
    GeneralizedContrastive,
    HardExampleTriplet,
    Layerwise,
    Loss,
    MaxMargin,
    NPairs,
    NTXent,
    SemiHardTriplet,
    SlicedWasserstein,
    SupCon,
    SupConIn,
    Triplet,
    similarity,
)
from contrast.optim import LARS, SGD, Adam, Cosine, CosineSteps, DecaySteps, LinearDecay, RMSProp, Warmup
from contrast.penalties import ContrastiveInputGradient, InputDifference, InputGradient, LayerwiseInputGradient
from contrast.weights import MoCoKeys, OwnKeys, PyContrastKeys, SimCLRKeys, SimCLRv2Keys, SupContrastKeys, TimmKeys, TorchvisionKeys

LOSSES: list[Loss] = [
    *(NTXent(0.2), NTXent(0.2, include_self=True, loss_scale="times_tau"), CrossView(0.2)),
    *(
        SupCon(0.2),
        SupCon(0.2, denominator="one_positive", mean_over_valid=True),
        SupConIn(0.2),
        SupConIn(0.2, denominator="only_negatives"),
    ),
    *(GeneralizedContrastive(0.2, 0.1), GeneralizedContrastive(0.2, 0.1, include_self=True), AlignmentUniformity()),
    *(SlicedWasserstein(prior, 0.1) for prior in ("sphere", "cube", "normal")),
    *(DrLIM(3.0), DrLIM(3.0, similar="image"), NPairs(0.1), CrossEntropy(), MaxMargin(9.0), Layerwise(NTXent(0.2), 1)),
    *(Triplet(3.0), BatchHardTriplet(1.0), SemiHardTriplet(3.0), HardExampleTriplet(3.0, keep=0.5), DistanceWeightedTriplet(3.0)),
]
HEADS: list[Head] = [
    *(MLPHead(depth, 8) for depth in range(5)),
    *(MLPHead(2, 8, 6), Classifier(), BatchNormHead(3, 8), BatchNormHead(2, 8, 6, last=False)),
    *(Classifier(bias=False), MLPClassifier(7)),
    *(SupConHead(1, 8), SupConHead(2, 8, unit_input=False)),
]
ENCODERS: list[Encoder] = [
    *(SmallResNet(4), SmallResNet(4, 2), ResNet18(), ResNet18("imagenet", 8), ResNet34(None, 8), ConvN()),
    *(ResNet50(None, 8), ResNet101("imagenet", 4), ResNet200(None, 2)),
]
OPTIMIZERS = [SGD(0.1), LARS(0.1), RMSProp(0.1), Adam(0.1)]
SCHEDULES = [Cosine(), CosineSteps(2), DecaySteps((3, 5)), LinearDecay(), Warmup(Cosine(), 3)]
OTHERS: list[Component] = [
    TimmEncoder("resnet10t"),
    AdversarialTraining(8 / 255),
    *OPTIMIZERS,
    *SCHEDULES,
    InputDifference(0.1),
    InputGradient(0.1),
    ContrastiveInputGradient(0.1, scaling="per_view"),
]
OTHERS += [LayerwiseInputGradient(0.1), StageHeads(), ClassPairs(), FullBatches(), Passes(3)]
OTHERS += [SCL(), L2SP(), BSS(), RIFLE(), CoreTuning(), FeatureMixup(), DELTA(), BiTuning(), MixAndMatch()]
OTHERS += [TorchvisionKeys(), TimmKeys(), MoCoKeys(), PyContrastKeys(), SimCLRKeys(), SimCLRv2Keys(), SupContrastKeys()]
OTHERS += [OwnKeys(mean=(0.5,), std=(0.25,))]
EVERY = [*LOSSES, *HEADS, *ENCODERS, *OTHERS]

LABELS = torch.tensor([0, 1, 2, 0, 1, 2])


def exported(module: ModuleType) -> set[type]:
    return {c for c in vars(module).values() if inspect.isclass(c) and issubclass(c, Component) and not inspect.isabstract(c)}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def embeddings(seed: int = 0) -> Tensor:
    return torch.randn(6, 2, 3, generator=seeded(seed))


def built(component: Head | Encoder, seed: int) -> nn.Module:
    """A head for 12 features and 3 classes, an encoder for 3 channels."""
    return component.build(12, 3, seeded(seed)) if isinstance(component, Head) else component.build(3, seeded(seed))


def batch_for(component: Head | Encoder) -> Tensor:
    shape = (5, 12) if isinstance(component, Head) else (5, 3, 8, 8)
    return torch.rand(shape, generator=seeded(9))


def test_every_exported_component_sits_the_exam():
    examples = {type(component) for component in EVERY}
    assert set.union(*map(exported, (attacks, losses, heads, encoders, optim, penalties, batches, finetuning, weights))) == examples


@pytest.mark.parametrize("component", EVERY, ids=repr)
def test_a_component_is_a_frozen_value_of_plain_fields(component):
    assert component == replace(component)
    assert hash(component) == hash(replace(component))
    assert type(component).version >= 1
    for field in fields(component):
        assert isinstance(getattr(component, field.name), int | float | str | tuple | Component | None)
        with pytest.raises(FrozenInstanceError):
            setattr(component, field.name, 1)


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_a_loss_is_a_finite_scalar_that_moves_every_view(loss):
    output = embeddings().requires_grad_()
    kept = output.detach().clone()
    value = loss(output, LABELS)
    value.backward()
    assert value.shape == ()
    assert value.isfinite()
    assert output.grad.isfinite().all()
    assert (output.grad.abs().sum(-1) > 0).all()
    assert torch.equal(output, kept)


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_a_loss_does_not_depend_on_the_order_of_the_batch(loss):
    """Images and views reordered, 1e-5 relative in float32."""
    order = torch.randperm(6, generator=seeded(1))
    torch.testing.assert_close(loss(embeddings()[order].flip(1), LABELS[order]), loss(embeddings(), LABELS), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_a_step_against_the_gradient_lowers_a_loss(loss):
    output = embeddings().requires_grad_()
    before = loss(output, LABELS)
    before.backward()
    assert loss(output - 1e-3 * output.grad, LABELS) < before


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_a_loss_is_low_where_views_of_a_class_agree_and_classes_differ(loss):
    """Outputs along their class's axis are good for every loss, contrastive or not."""
    aligned = torch.eye(3)[LABELS][:, None].repeat(1, 2, 1) * 3
    assert loss(aligned, LABELS) < loss(embeddings(), LABELS)


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_a_loss_keeps_no_matrix_of_all_similarities_for_its_backward_pass(loss, monkeypatch):
    """Of 512 views, with blocks of 8 rows: less than half of the 512 x 512 numbers, all that is kept counted together."""
    monkeypatch.setattr(similarity, "_BLOCK", 8 * 512)
    output, labels, kept = torch.randn(256, 2, 4, generator=seeded()).requires_grad_(), torch.arange(256) % 4, {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.data_ptr()] = tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss(output, labels)
    assert sum(kept.values()) < 512 * 512 / 2


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_a_loss_is_the_same_each_time_and_never_in_half_precision(loss):
    assert torch.equal(loss(embeddings(), LABELS), loss(embeddings(), LABELS))
    assert loss(embeddings().bfloat16(), LABELS).dtype == torch.float32
    assert loss(embeddings().double(), LABELS).dtype == torch.float64


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_an_optimiser_moves_every_weight_the_same_way_each_time_and_remembers_tensors_only(optimizer):
    """Three steps, twice; what it remembers of a weight is what the training state keeps."""

    def trained() -> list[Tensor]:
        net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
        net.load_state_dict({name: torch.rand(t.shape, generator=seeded(1)).to(t) for name, t in net.state_dict().items()})
        moving = optimizer.build(net)
        for seed in range(3):
            for weight in net.parameters():
                weight.grad = torch.randn(weight.shape, generator=seeded(seed))
            moving.step()
        assert all(isinstance(kept, Tensor) for state in moving.state.values() for kept in state.values())
        return [weight.detach() for weight in net.parameters()]

    first, second = trained(), trained()
    start = [torch.rand(w.shape, generator=seeded(1)) for w in first]
    assert all(w.isfinite().all() and torch.equal(w, v) and not torch.equal(w, s) for w, v, s in zip(first, second, start, strict=True))


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_a_schedule_gives_a_rate_between_zero_and_lr_at_every_step(schedule):
    rates = [schedule.within(0.5, epoch, 8, step, 3) for epoch in range(1, 9) for step in range(3)]
    assert all(0 <= rate <= 0.5 for rate in rates)
    assert all(0 <= schedule.at(0.5, epoch, 8) <= 0.5 for epoch in range(1, 9))
    assert schedule.fewest_epochs <= 8


@pytest.mark.parametrize("component", [*HEADS, *ENCODERS], ids=repr)
def test_weights_are_a_function_of_the_generator_alone(component):
    """Whatever else was drawn before, and without drawing from torch's global generator."""
    first = built(component, 7).state_dict()
    torch.rand(3)
    state = torch.get_rng_state()
    second, other = built(component, 7).state_dict(), built(component, 8).state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(first[name], second[name]) for name in first)
    drawn = [name for name in first if first[name].ndim > 1]
    assert not any(torch.equal(first[name], other[name]) for name in drawn)


@pytest.mark.parametrize("component", [*HEADS, *ENCODERS], ids=repr)
def test_a_module_maps_each_sample_by_itself_and_every_weight_takes_part(component):
    """In eval mode, with rows reordered, to 1e-4; in training mode each weight has a finite gradient, not all zero."""
    module, batch = built(component, 7), batch_for(component)
    order = torch.tensor([3, 0, 4, 1, 2])
    with torch.no_grad():
        output = module.eval()(batch)
        torch.testing.assert_close(module(batch[order]), output[order], rtol=1e-4, atol=1e-5)
    assert output.shape[0] == 5
    assert output.isfinite().all()
    weigh = torch.randn(output.shape, generator=seeded(3))
    loss = (module.train()(batch.requires_grad_()) * weigh).sum()
    loss.backward()
    assert batch.grad.isfinite().all()
    for weight in module.parameters():
        assert weight.grad.isfinite().all()
        assert weight.grad.abs().sum() > 0


@pytest.mark.parametrize("encoder", ENCODERS, ids=repr)
@pytest.mark.parametrize(("channels", "side"), [(1, 8), (3, 16), (3, 32)])
def test_an_encoder_is_as_wide_as_it_says(encoder, channels, side):
    net = encoder.build(channels, seeded()).eval()
    with torch.no_grad():
        assert net(torch.rand(2, channels, side, side, generator=seeded(1))).shape == (2, encoder.width)
