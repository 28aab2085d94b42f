"""What every test shares: one thread, checked shapes, and a cache of decoded images of the session's own.

Each function of a module of `contrast` or `analysis` that states shapes is checked as it is called: a tensor of another
shape or type than stated fails the test that made it. Other modules are left to mypy, since the check takes longer than most
of their calls. Constructors are left out, since what a user gives wrongly is refused by `__post_init__`, with a message that
tests read; that is why the hook is installed here and not by jaxtyping's pytest option.
"""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest
import torch
from beartype import beartype
from hypothesis import settings
from jaxtyping import install_import_hook
from threadpoolctl import threadpool_limits

pytest_plugins = ("tests.runs",)
settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
settings.load_profile("untimed")
torch.set_num_threads(1)
threadpool_limits(1)
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))  # for processes that tests start


def _checked(function: Callable[..., Any]) -> Callable[..., Any]:
    return function if function.__name__ == "__init__" else beartype(function)


def _with_shapes() -> list[str]:
    """The modules of `contrast` and `analysis` that state shapes, by name."""
    root = Path(__file__).parents[1]
    files = [file for package in ("contrast", "analysis") for file in (root / package).rglob("*.py")]
    stating = [file for file in files if "from jaxtyping import" in file.read_text(encoding="utf-8")]
    return [".".join(file.relative_to(root).with_suffix("").parts) for file in stating]


_CHECK = ModuleType("shape_check")  # the hook takes the name of a checker that can be imported
_CHECK.checked = _checked  # type: ignore[attr-defined]
sys.modules[_CHECK.__name__] = _CHECK
install_import_hook(_with_shapes(), f"{_CHECK.__name__}.checked")


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Decoded images are cached in the session's own folder, never in the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONTRAST_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _memory_of_this_process() -> Iterator[None]:
    """Runs in this process tell its memory alone: below it are those beside the tests, whose pages take half a second to count."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sweeps.memory.tree_bytes", lambda: psutil.Process().memory_info().rss)
        yield
