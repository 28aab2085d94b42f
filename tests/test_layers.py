"""Imports point one way, and only the files that are meant to know a library know it. Read from the syntax trees."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from jaxtyping import TypeCheckError

from contrast import NTXent
from contrast.losses.similarity import unit_views

ROOT = Path(__file__).parents[1]
LAYERS = ("contrast", "analysis", "search_spaces", "sweeps", "sweeps.catalog")  # each may import those before it, and itself
ALLOWED = {
    "contrast": {"torch", "torchvision", "numpy", "scipy", "safetensors", "pyarrow", "sklearn", "jaxtyping", "PIL", "timm"},
    "analysis": {"pandas", "matplotlib", "rich", "cycler", "jinja2", "markupsafe", "pyautoattack"},
    "search_spaces": {"optuna"},
    "sweeps": {"mlflow", "sqlalchemy", "ray", "cloudpickle", "psutil", "typer"},
    "sweeps.catalog": set(),
}
ONLY_IN = {
    "timm": {"contrast/encoders/timm_encoder.py"},
    "ray": {"sweeps/engines"},
    "mlflow": {"sweeps/mlflow_"},
    "sqlalchemy": {"sweeps/mlflow_"},
    "typer": {"sweeps/script.py", "sweeps/store_commands.py", "sweeps/__main__.py"},
}


def modules() -> Iterator[tuple[str, Path, ast.Module]]:
    for layer in ("contrast", "analysis", "search_spaces", "sweeps"):
        for path in sorted((ROOT / layer).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            yield name, path, ast.parse(path.read_text(encoding="utf-8"))


def layer_of(module: str) -> str:
    return "sweeps.catalog" if module.startswith("sweeps.catalog") else module.partition(".")[0]


def imported(tree: ast.Module) -> Iterator[str]:
    """Absolute names of all modules imported anywhere in a file, inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


MODULES = list(modules())


@pytest.mark.parametrize(("name", "path", "tree"), MODULES, ids=[name for name, _, _ in MODULES])
def test_imports_point_one_way(name, path, tree):
    own = LAYERS.index(layer_of(name))
    commands = name in ("sweeps.__main__", "sweeps.script")  # the command line serves the catalogue
    for module in imported(tree):
        root = module.partition(".")[0]
        if root in ("contrast", "analysis", "search_spaces", "sweeps"):
            assert LAYERS.index(layer_of(module)) <= own or (commands and root == "sweeps"), f"{name} imports {module}"
        elif root not in sys.stdlib_module_names:
            known = set().union(*(ALLOWED[layer] for layer in LAYERS[: own + 1]))
            assert root in known, f"{name} imports {root}, which its layer does not know"
            places = ONLY_IN.get(root)
            relative = path.relative_to(ROOT).as_posix()
            assert places is None or relative.startswith(tuple(places)), f"{name} imports {root}, which belongs to {places}"


def test_ray_tune_is_known_to_one_file():
    assert [name for name, _, tree in MODULES if any(m.startswith("ray.tune") for m in imported(tree))] == ["sweeps.engines.ray_tune"]


def test_no_two_modules_import_each_other():
    """No cycle in what files import at their top level; a name that is a module counts, not the package that holds it."""
    known = {name for name, _, _ in MODULES}
    below = {name: set(at_top_level(tree, known)) - {name} for name, _, tree in MODULES}
    while leaves := {name for name in below if not below[name]}:
        below = {name: needed - leaves for name, needed in below.items() if name not in leaves}
    assert not below


def at_top_level(tree: ast.Module, known: set[str]) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module in known:
            names = {alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            yield from (full if full in known else node.module for full in names.values())


def test_shapes_are_checked_in_every_test_run():
    with pytest.raises(TypeCheckError):
        unit_views(torch.zeros(2, 3))
    with pytest.raises(TypeCheckError):
        NTXent(0.1)(torch.zeros(4, 2, 8), torch.zeros(5, dtype=torch.long))


def test_workers_and_the_command_line_start_without_the_libraries_that_only_a_run_or_a_report_needs():
    loaded = "import sys, sweeps.catalog, sweeps.engines.worker; print(*sys.modules); import sweeps.launch; print(*sys.modules)"
    started = subprocess.run([sys.executable, "-c", loaded], cwd=ROOT, capture_output=True, text=True, check=True)
    worker, command = (set(line.split()) for line in started.stdout.splitlines())
    assert not {"ray", "mlflow", "sqlalchemy", "pandas", "sklearn", "scipy.stats"} & command
    assert "matplotlib" not in worker
