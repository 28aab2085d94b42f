"""A compiled network learns what it learns otherwise, to rounding, and leaves weights of the same names."""

import os
import shutil
from dataclasses import replace
from functools import partialmethod

import pytest
import torch
from torch._dynamo.testing import CompileCounter

from contrast import SGD, Classifier, ContrastiveInputGradient, ConvN, CropViews, CrossEntropy, Digits, MLPHead, NTXent, Pretrain, UserError
from contrast.compiling import compile_
from contrast.distributed import Processes
from contrast.pretrain import initial_net
from sweeps.fingerprint import fingerprint
from tests.bench import Bench, assert_same, curve

PLAIN = Pretrain(
    data=Digits(per_class=4),
    encoder=ConvN(),
    views=CropViews(1),
    loss=CrossEntropy(),
    head=Classifier(),
    batch_size=20,
    epochs=2,
    seed=0,
    optimizer=SGD(lr=0.01),
)
COMPILED = replace(PLAIN, compiled=True)


by_compiler = pytest.mark.skipif(
    "TEST_COMPILER" not in os.environ or shutil.which("g++") is None,
    reason="the C++ compiler takes a minute and more: set TEST_COMPILER=1 to have it tried, where there is one",
)


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=by_compiler)])
def test_a_compiled_training_is_the_same_to_rounding(backend, tmp_path, monkeypatch):
    """aot_eager traces forward and backward pass as the default backend does, and leaves out the C++ compiler."""
    monkeypatch.setattr(torch.nn.Module, "compile", partialmethod(torch.nn.Module.compile, backend=backend))
    bench = Bench(tmp_path)
    plain, compiled = bench.run(PLAIN), bench.run(COMPILED)
    assert plain.weights().keys() == compiled.weights().keys()
    for name, weight in plain.weights().items():
        assert torch.allclose(weight, compiled.weights()[name], rtol=1e-3, atol=1e-4), name
    assert [line["loss"] for line in curve(compiled)] == pytest.approx([line["loss"] for line in curve(plain)], rel=1e-4)


@by_compiler
def test_a_compiled_training_goes_on_to_the_last_bit(tmp_path):
    bench = Bench(tmp_path)
    assert_same(bench.run(COMPILED, [1]), bench.run(COMPILED))


def test_compiling_leaves_the_names_of_weights():
    net = initial_net(PLAIN.data, PLAIN.encoder, PLAIN.head, 0)
    names, forward = list(net.state_dict()), net.forward
    net.compile(dynamic=False)
    assert list(net.state_dict()) == names
    assert net.forward == forward


def test_not_compiled_is_the_value_it_was():
    assert replace(PLAIN, compiled=False) == PLAIN
    assert fingerprint(replace(PLAIN, compiled=False)) == fingerprint(PLAIN) != fingerprint(COMPILED)


def test_what_torch_does_not_compile_is_refused_before_training():
    contrastive = replace(COMPILED, views=CropViews(), loss=NTXent(0.1), head=MLPHead())
    with pytest.raises(UserError, match=r"^Pretrain\.compiled = True: takes no penalty, .+\. Leave out"):
        replace(contrastive, penalty=ContrastiveInputGradient(0.1))
    assert replace(contrastive, penalty=ContrastiveInputGradient(0.0)).compiled


@pytest.mark.parametrize(("compiler", "size", "why"), [("no-such-compiler", 1, "no C"), ("true", 2, "2 processes")])
def test_where_nothing_can_be_compiled_training_does_not_begin(compiler, size, why, monkeypatch):
    monkeypatch.setenv("CXX", compiler)
    with pytest.raises(UserError, match=rf"^compiled = True: {why}.+\. .+leave it out"):
        compile_(initial_net(PLAIN.data, PLAIN.encoder, PLAIN.head, 0), Processes(0, size))


def test_several_gpus_for_what_is_compiled_are_refused_before_anything_runs():
    COMPILED.check_processes(1)
    PLAIN.check_processes(2)
    with pytest.raises(UserError, match=r"^Pretrain\.compiled = True: is for one process, and 2 would train together\. Ask for one GPU"):
        COMPILED.check_processes(2)


class Wide(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layer = torch.nn.Linear(2, width)

    def forward(self, x):
        return self.layer(x)


def test_networks_that_follow_each_other_in_a_process_are_all_compiled(monkeypatch):
    counted = CompileCounter()
    monkeypatch.setattr(torch.nn.Module, "compile", partialmethod(torch.nn.Module.compile, backend=counted))
    for width in range(1, 12):
        net = Wide(width)
        compile_(net, Processes())
        before = counted.frame_count
        net(torch.ones(3, 2))
        assert counted.frame_count > before, width
