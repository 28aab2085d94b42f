"""Having `torch.compile` make the code of a network's forward and backward pass."""

import os
import shutil
import sys

import torch
from torch import nn

from contrast.component import UserError
from contrast.distributed import Processes

LIMIT = 64  # shapes of batches, with and without gradient; beyond it torch would go on without compiling


def compile_(net: nn.Module, processes: Processes) -> None:
    """Compile calls of `net` in place: its weights keep their names, and copies of it are not compiled.

    Every shape of a batch has code of its own, so that what is computed does not depend on the batches before. Raises
    `UserError` without a C++ compiler, and for several processes, whose exchanges inside normalisations are not compiled.
    """
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(compiler) is None:
        raise UserError(f"compiled = True: no C++ compiler {compiler!r} is found here. Install it, name another in CXX, or leave it out.")
    if not processes.alone:
        raise UserError(f"compiled = True: {processes.size} processes train together. Ask for one GPU, or leave it out.")
    torch.compiler.reset()  # code of earlier networks counts against the limit, and stays in memory
    net.compile(dynamic=False, recompile_limit=LIMIT)
