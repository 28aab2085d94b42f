"""A batch embedded in chunks has the loss, the penalty and the gradients of the whole batch, and remembers one chunk at a time.

The oracle is one graph through all chunks, which needs the memory that chunks are there to save.
"""

import weakref
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from contrast import (
    SGD,
    BatchNormHead,
    Classifier,
    ContrastiveInputGradient,
    CropViews,
    CrossEntropy,
    Digits,
    InputDifference,
    InputGradient,
    Layerwise,
    LayerwiseInputGradient,
    MLPHead,
    NTXent,
    Pretrain,
    SlicedWasserstein,
    SmallResNet,
    StageHeads,
    SupCon,
    UserError,
)
from contrast.chunks import Split
from contrast.distributed import Processes
from contrast.forward import Forward
from contrast.loop import Place, Step
from contrast.losses.loss import full_precision
from contrast.model import Net
from contrast.penalties.penalty import Penalty
from contrast.pretrain import initial_net
from sweeps.fingerprint import fingerprint

SIMCLR = Pretrain(
    data=Digits(per_class=3),
    encoder=SmallResNet(2),
    views=CropViews(),
    loss=NTXent(0.1),
    head=MLPHead(2, out=8),
    batch_size=20,
    epochs=1,
    seed=0,
    optimizer=SGD(lr=0.05),
)
SUPCE = replace(SIMCLR, views=CropViews(1), loss=CrossEntropy(), head=Classifier())
LAYERS = replace(SIMCLR, loss=Layerwise(NTXent(0.1), layers=3), head=StageHeads(MLPHead(2, 8), stages=3))
METHODS = {
    "SimCLR": SIMCLR,
    "SimCLR, batch norm in the head": replace(SIMCLR, head=BatchNormHead(2, out=8)),
    "SupCon": replace(SIMCLR, loss=SupCon(0.1)),
    "sliced Wasserstein": replace(SIMCLR, loss=SlicedWasserstein("normal", 1.0)),
    "SupCE": SUPCE,
    "SimCLR, penalty": replace(SIMCLR, penalty=ContrastiveInputGradient(3.0)),
    "SimCLR, penalty a view": replace(SIMCLR, penalty=ContrastiveInputGradient(0.1, scaling="per_view")),
    "SupCE, penalty": replace(SUPCE, penalty=InputGradient(0.1)),
    "SupCE, penalty of frozen norms": replace(SUPCE, penalty=InputGradient(0.1, space="normalized", frozen_norms=True)),
    "layer-wise, penalty": replace(LAYERS, penalty=LayerwiseInputGradient(3.0)),
}


class Double(Net):
    """A network in double precision for pixels in single."""

    def __init__(self, net):
        nn.Module.__init__(self)
        self.net = net.double()
        self.register_buffer("std", net.std)

    def forward(self, x):
        return self.net(x.double())


def batch(stage, count):
    images = stage.data.load(None)
    rows = np.arange(len(images.ids))[:: len(images.ids) // count][:count]
    return torch.from_numpy(images.pixels[rows]), torch.from_numpy(images.labels[rows]), images.ids[rows]


def left(net, loss, penalty):
    """Loss, penalty, gradients and statistics after a backward pass."""
    (loss + penalty).backward()
    found = {name: p.grad for name, p in net.named_parameters() if p.grad is not None} | dict(net.named_buffers())
    return {name: tensor.clone() for name, tensor in found.items()} | {"loss": loss.detach(), "penalty": penalty.detach()}


def in_chunks(stage, net, count, chunk, precision=torch.float32):
    step = Step(stage.views, stage.loss, stage.penalty, precision, torch.device("cpu"), chunk=chunk)
    pixels, labels, ids = batch(stage, count)
    rows = step.rows(count)
    return left(net, *step(net, pixels[rows], labels, ids[rows], Place(0, 1, 0)))


def in_one_graph(stage, net, count, chunks, precision=torch.float32):
    pixels, labels, ids = batch(stage, count)
    inputs = stage.views(pixels.float() / 255, ids, 0, 1).requires_grad_(stage.penalty is not None)
    with torch.autocast("cpu", precision, enabled=precision is not torch.float32):
        output = torch.cat([net(inputs[rows.start : rows.stop].flatten(0, 1)) for rows in chunks])
    output = full_precision(output.view(*inputs.shape[:2], -1))
    drawn = stage.loss.at_step(0, 1, 0)
    loss = drawn(output, labels)
    return left(
        net, loss, loss.new_zeros(()) if stage.penalty is None else stage.penalty(Forward(net, count), inputs, output, labels, drawn)
    )


def made(stage):
    return Double(initial_net(stage.data, stage.encoder, stage.head, stage.seed))


def assert_close(found, expected, worst):
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        scale = float(tensor.double().abs().max()) + 1e-300
        assert float((found[name].double() - tensor.double()).abs().max()) / scale < worst, name


def worst(stage):
    return 1e-9 if stage.penalty is None else 1e-5  # the gradient at the pixels is in single precision


@pytest.mark.parametrize("chunk", [2, 7])
@pytest.mark.parametrize("method", METHODS)
def test_a_batch_in_chunks_has_the_gradient_of_the_batch(method, chunk):
    """Batch normalisations keep to their running statistics here."""
    stage = METHODS[method]
    whole = in_one_graph(stage, made(stage).eval(), 20, [range(20)])
    assert float(whole["loss"]) > 0
    assert ("penalty" in method) == (float(whole["penalty"]) > 0)
    assert_close(in_chunks(stage, made(stage).eval(), 20, chunk), whole, worst(stage))


@pytest.mark.parametrize("method", METHODS)
def test_batch_normalisation_is_by_chunk_and_remembers_each_chunk_once(method):
    stage, net, other = METHODS[method], made(METHODS[method]), made(METHODS[method])
    found = in_chunks(stage, net, 20, 7)
    assert_close(found, in_one_graph(stage, other, 20, [range(6), range(6, 13), range(13, 20)]), worst(stage))
    assert {int(count) for name, count in found.items() if name.endswith("num_batches_tracked")} == {3}
    assert all(norm.track_running_stats for norm in net.modules() if isinstance(norm, nn.BatchNorm2d))


@pytest.mark.parametrize("method", ["SimCLR", "SimCLR, penalty"])
def test_chunks_in_half_precision_are_those_of_one_graph_in_half_precision(method):
    stage = METHODS[method]
    nets = [initial_net(stage.data, stage.encoder, stage.head, stage.seed) for _ in range(2)]
    found = in_chunks(stage, nets[0], 20, 10, torch.bfloat16)
    expected = in_one_graph(stage, nets[1], 20, [range(10), range(10, 20)], torch.bfloat16)
    assert found.keys() == expected.keys()
    assert_close({"loss": found["loss"]}, {"loss": expected["loss"]}, 1e-5)
    every, wanted = (torch.cat([side[name].flatten() for name, _ in nets[0].named_parameters()]) for side in (found, expected))
    assert float((every - wanted).norm() / wanted.norm()) < 0.05


class Remembered:
    """Counts the bytes that a backward pass will need, without those of weights, and the most there ever were."""

    def __init__(self, net):
        self.now = self.most = 0
        self.weights = {p.untyped_storage().data_ptr() for p in net.parameters()}

    def pack(self, tensor):
        holder = Holder(tensor)
        if tensor.untyped_storage().data_ptr() not in self.weights:
            self.now += tensor.nbytes
            self.most = max(self.most, self.now)
            weakref.finalize(holder, self.forget, tensor.nbytes)
        return holder

    def forget(self, size):
        self.now -= size


@dataclass(eq=False)
class Holder:
    tensor: torch.Tensor


def most_remembered(stage, count, chunk):
    net = initial_net(stage.data, stage.encoder, stage.head, stage.seed)
    remembered = Remembered(net)
    with torch.autograd.graph.saved_tensors_hooks(remembered.pack, lambda holder: holder.tensor):
        in_chunks(stage, net, count, chunk)
    assert remembered.now == 0
    return remembered.most


@pytest.mark.parametrize("method", ["SimCLR", "SimCLR, penalty"])
def test_what_is_remembered_is_bounded_by_the_chunk_and_not_by_the_batch(method):
    stage = replace(METHODS[method], data=Digits(per_class=8), encoder=SmallResNet(8))
    whole, fits = most_remembered(stage, 80, None), most_remembered(stage, 10, None)
    assert whole > 7 * fits
    assert most_remembered(stage, 80, 10) < 1.3 * fits  # and the loss of 160 embeddings
    assert most_remembered(stage, 40, 10) < 1.3 * fits


@given(count=st.integers(2, 200), chunk=st.integers(2, 60), size=st.integers(1, 4))
def test_chunks_are_the_batch_in_order_each_of_two_images_or_more(count, chunk, size):
    split = Split(count, chunk, Processes())
    assert [i for rows in split.chunks for i in rows] == list(range(count))
    lengths = [len(rows) for rows in split.chunks]
    assert min(lengths) >= 2
    assert max(lengths) <= (chunk if chunk > 2 or count % 2 == 0 else 3)
    assert max(lengths) - min(lengths) <= 1
    assert sorted(i for rank in range(size) for i in Split(count, chunk, Processes(rank, size)).rows) == list(range(count))


def test_a_chunk_that_holds_the_batch_is_no_chunk():
    assert replace(SIMCLR, chunk=20) == replace(SIMCLR, chunk=999) == SIMCLR
    assert replace(SIMCLR, batch_size=3, chunk=2) == replace(SIMCLR, batch_size=3), "none has a single image"
    assert fingerprint(replace(SIMCLR, chunk=20)) == fingerprint(SIMCLR) != fingerprint(replace(SIMCLR, chunk=19))


@dataclass(frozen=True)
class Unknown(Penalty):
    def accepts(self, loss):
        return True

    def __call__(self, net, inputs, output, labels, loss):
        return output.square().sum()


@pytest.mark.parametrize(
    "wrong",
    [{"chunk": 1}, {"chunk": -4}, {"chunk": 4, "penalty": Unknown(1.0)}, {**vars(SUPCE), "chunk": 4, "penalty": InputDifference(1.0)}],
)
def test_a_chunk_that_cannot_be_is_refused_by_field(wrong):
    with pytest.raises(UserError, match=r"^Pretrain\.chunk = .+: .+\. .+"):
        replace(SIMCLR, **wrong)
