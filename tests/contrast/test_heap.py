"""Memory kept by a training: what is freed is used again without the kernel, and is given back at the end."""

import resource
import subprocess
import sys

import torch

from contrast.heap import kept_heap
from tests.driver import REPOSITORY

MB = 2**20
PAGES = 16 * MB // resource.getpagesize()


def faults(times: int) -> int:
    """Page faults of using 16 MB in four tensors and freeing them, `times` times."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        _held = [torch.ones(MB) for _ in range(4)]
        del _held
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_a_freed_tensor_is_used_again_without_the_kernel() -> None:
    with kept_heap():
        faults(2)
        assert faults(20) <= 2 * PAGES


def test_what_was_freed_is_given_back_at_the_end() -> None:
    """In a process of its own: room that earlier tests left in the heap would serve some of the pages without a fault."""
    code = "from tests.contrast.test_heap import faults, kept_heap\nwith kept_heap(): faults(2)\nprint(faults(1))"
    told = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert int(told.stdout) > PAGES / 2
