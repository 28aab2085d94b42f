"""Several processes compute what one does, to rounding: loss, gradients and statistics, whatever the method and the split.

Three are started once for this file, over gloo on the CPU, and compute all cases in double precision, where a mistake cannot
hide behind rounding. How weights go on from there is in `tests/sweeps/test_processes.py`.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import distributed, nn

from contrast import (
    SGD,
    VAE,
    BatchNormHead,
    Classifier,
    ContrastiveInputGradient,
    CropViews,
    CrossEntropy,
    CutMix,
    Digits,
    InputDifference,
    InputGradient,
    Layerwise,
    LayerwiseInputGradient,
    MLPHead,
    MoCo,
    NTXent,
    Pretrain,
    SemiHardTriplet,
    SlicedWasserstein,
    SmallResNet,
    StageHeads,
    SupCon,
    UserError,
)
from contrast.distributed import Processes
from contrast.loop import Place, Step
from contrast.moco import momentum_pair, momentum_step
from contrast.model import Net
from contrast.pretrain import initial_net
from contrast.stage import Workspace
from contrast.vae import backward, initial_vae, noise

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
MOCO = MoCo(
    data=SIMCLR.data,
    encoder=SIMCLR.encoder,
    views=SIMCLR.views,
    head=BatchNormHead(2, out=8),
    batch_size=18,
    epochs=1,
    seed=0,
    optimizer=SGD(lr=0.05),
    queue=36,
    norm_groups=3,  # one a process
)
SUPCE = replace(SIMCLR, views=CropViews(1), loss=CrossEntropy(), head=Classifier())
METHODS = {
    "SimCLR": SIMCLR,
    "SimCLR, batch norm in the head": replace(SIMCLR, head=BatchNormHead(2, out=8)),
    "SupCon": replace(SIMCLR, loss=SupCon(0.1)),
    "SupCon, one positive at a time": replace(SIMCLR, loss=SupCon(0.1, denominator="one_positive", cap=4)),
    "triplets, penalty": replace(SIMCLR, loss=SemiHardTriplet(0.5), penalty=ContrastiveInputGradient(0.1, scaling="per_view")),
    "sliced Wasserstein": replace(SIMCLR, loss=SlicedWasserstein("normal", 1.0)),
    "SupCE": SUPCE,
    "SimCLR, penalty": replace(SIMCLR, penalty=ContrastiveInputGradient(0.1)),
    "SupCE, penalty": replace(SUPCE, penalty=InputGradient(0.1)),
    "SupCE, penalty of frozen norms": replace(SUPCE, penalty=InputGradient(0.1, frozen_norms=True)),
    "SupCE, penalty by differences": replace(SUPCE, penalty=InputDifference(0.1, central=True)),
    "layer-wise, penalty": replace(
        SIMCLR, loss=Layerwise(NTXent(0.1), layers=3), head=StageHeads(stages=3), penalty=LayerwiseInputGradient(0.1)
    ),
    "VAE": VAE(data=SIMCLR.data, encoder=SmallResNet(2), batch_size=20, epochs=1, seed=0, optimizer=SGD(lr=0.05), latent=3, beta=2.0),
    "SupCE, CutMix, chunks and penalty": replace(SUPCE, mix=CutMix(), chunk=8, penalty=InputGradient(0.1)),
    "SimCLR, chunks": replace(SIMCLR, chunk=8),
    "layer-wise, chunks and penalty": replace(
        SIMCLR, loss=Layerwise(NTXent(0.1), layers=3), head=StageHeads(stages=3), penalty=LayerwiseInputGradient(0.1), chunk=8
    ),
    "MoCo": replace(MOCO, norm_groups=None),
    "MoCo, groups": MOCO,
    "MoCo, two groups a process": replace(MOCO, norm_groups=6),
}
SIZE, COUNTS = 3, (20, 2)  # parts of 6, 7 and 7 images; and of 0, 1 and 1


class Double(Net):
    """A network in double precision for pixels in single."""

    def __init__(self, net):
        nn.Module.__init__(self)
        self.net = net.double()

    def forward(self, x):
        return self.net(x.double())


def first_step(stage, count, processes):
    """Loss, penalty and gradients of the first `count` images, and the statistics after it."""
    images = stage.data.load(None)
    if isinstance(stage, VAE):
        return first_step_of_vae(stage, images, count, processes)
    if isinstance(stage, MoCo):
        return first_step_of_moco(stage, images, count, processes)
    net = Double(initial_net(stage.data, stage.encoder, stage.head, stage.seed))
    processes.synchronise(net)
    step = Step(stage.views, stage.loss, stage.penalty, torch.float32, torch.device("cpu"), processes, stage.chunk, stage.mix)
    rows = np.arange(len(images.ids))[:: len(images.ids) // count][:count]
    mine, labels = rows[step.rows(count)], torch.from_numpy(images.labels[rows])
    loss, penalty = step(net, torch.from_numpy(images.pixels[mine]), labels, images.ids[mine], Place(0, 1, 0))
    (loss / processes.size + penalty).backward()
    processes.sum_gradients(net.parameters())
    found = {f"gradient of {name}": p.grad for name, p in net.named_parameters()} | dict(net.named_buffers())
    found |= {"loss": loss.detach().view(1), "penalty": processes.summed(penalty.detach()).view(1)}
    return {name: tensor.clone().contiguous() for name, tensor in found.items()}


def first_step_of_vae(stage, images, count, processes):
    """The same, with its second term in the penalty's place."""
    net = initial_vae(stage).double()
    processes.synchronise(net)
    mine = np.arange(count)[processes.part(count)]
    terms = backward(stage, net, torch.from_numpy(images.pixels[mine] / 255), noise(stage, images.ids[mine], 1).double(), count, processes)
    found = {f"gradient of {name}": p.grad for name, p in net.named_parameters()} | dict(net.named_buffers())
    found |= {"loss": (terms.reconstruction + stage.beta * terms.kl).view(1), "penalty": terms.kl.new_zeros(1)}
    return {name: tensor.clone().contiguous() for name, tensor in found.items()}


def first_step_of_moco(stage, images, count, processes):
    """The same, with queue and key network among the statistics; groups take whole batches of 12 or 18 images."""
    count = count if stage.norm_groups is None else 18 if count > 12 else 12
    workspace = Workspace(None, None, processes=processes)
    pair = momentum_pair(stage, workspace).double()
    step = momentum_step(stage, pair, workspace)
    mine = step.rows(count)
    pixels, labels = torch.from_numpy(images.pixels[mine]), torch.from_numpy(images.labels[:count])
    loss, penalty = step(pair.query, pixels, labels, images.ids[mine], Place(0, 1, 0))
    (loss / processes.size).backward()
    processes.sum_gradients(pair.parameters())
    found = {f"gradient of {name}": p.grad for name, p in pair.query.named_parameters()} | dict(pair.named_buffers())
    found |= {"loss": loss.detach().view(1), "penalty": penalty.view(1)}
    return {name: tensor.clone().contiguous() for name, tensor in found.items()}


def compute_all(rank, folder):
    """What each of the processes does."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=SIZE)
    for n, stage in enumerate(METHODS.values()):
        for count in COUNTS:
            save_file(first_step(stage, count, Processes(rank, SIZE)), folder / f"{n}-{count}-{rank}")


@pytest.fixture(scope="module")
def computed(together_run):
    """The folder of what the processes computed."""
    return together_run.result()


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("method", METHODS)
def test_processes_together_compute_what_one_does_alone(computed, method, count):
    expected = first_step(METHODS[method], count, Processes())
    assert float(expected["loss"]) > 0
    assert ("penalty" in method) == (float(expected["penalty"]) > 0)
    for rank in range(SIZE):
        found = load_file(computed / f"{list(METHODS).index(method)}-{count}-{rank}")
        assert found.keys() == expected.keys()
        for name, tensor in expected.items():
            scale = float(tensor.double().abs().max()) + 1e-300
            worst = float((found[name].double() - tensor.double()).abs().max()) / scale
            assert worst < (1e-6 if "penalty" in method else 1e-9), f"{name} on rank {rank}: {worst}"  # pixels' gradients are single


@given(count=st.integers(0, 1000), size=st.integers(1, 9))
def test_the_parts_of_a_batch_are_the_batch_in_order_and_of_equal_size(count, size):
    parts = [range(count)[Processes(rank, size).part(count)] for rank in range(size)]
    assert [i for part in parts for i in part] == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_one_process_exchanges_nothing_and_leaves_the_network_as_it_is():
    alone, net, x = Processes(), initial_net(SIMCLR.data, SIMCLR.encoder, SIMCLR.head, 0), torch.ones(3, 2)
    before = list(net.modules())
    alone.synchronise(net)
    assert list(net.modules()) == before
    assert alone.gathered(x, 3) is x
    assert alone.summed(x) is x
    assert alone.shared(x) is x


def test_synchronised_norms_keep_weights_and_names_and_do_the_same_in_eval_mode():
    net = initial_net(SIMCLR.data, SIMCLR.encoder, BatchNormHead(2, out=8), 0)
    x = torch.rand(4, 1, 8, 8)
    state, expected = net.state_dict(), net.eval()(x)
    Processes(0, 2).synchronise(net)
    assert all(torch.equal(net.state_dict()[name], tensor) for name, tensor in state.items())
    assert net.state_dict().keys() == state.keys()
    assert torch.equal(net.eval()(x), expected)


def test_a_norm_that_does_more_cannot_be_synchronised():
    class WithActivation(nn.BatchNorm2d):
        def forward(self, x):
            return super().forward(x).relu()

    net = nn.Sequential(nn.Conv2d(1, 2, 3), WithActivation(2))
    with pytest.raises(UserError, match=r"1: WithActivation does more than batch normalisation .* Ask for one GPU"):
        Processes(0, 2).synchronise(net)


if __name__ == "__main__":
    compute_all(int(sys.argv[1]), Path(sys.argv[2]))
