"""Imports point one way: contrast <- analysis <- search_spaces <- sweeps <- sweeps/catalog. Read off the syntax of every module."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYERS = ("contrast", "analysis", "search_spaces", "sweeps", "sweeps.catalog")
MODULES = sorted(path for package in LAYERS[:4] for path in (ROOT / package).rglob("*.py"))


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module


def layer(module):
    return max((i for i, name in enumerate(LAYERS) if module == name or module.startswith(name + ".")), default=None)


def name(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_imports_point_one_way(path):
    mine = layer(name(path))
    if name(path) == "sweeps.__main__":  # the command line shows the catalogue
        mine = len(LAYERS)
    upwards = [module for module in imported(path) if layer(module) is not None and layer(module) > mine]
    assert upwards == []


def test_one_experiment_needs_no_orchestration():
    for path in (ROOT / "contrast").rglob("*.py"):
        assert not {module.partition(".")[0] for module in imported(path)} & {"ray", "optuna", "mlflow", "pandas", "matplotlib"}


def test_ray_tune_is_imported_in_one_file():
    users = [name(path) for path in MODULES if any(module.split(".")[0] == "ray" for module in imported(path))]
    assert users == ["sweeps.engines.ray_tune"]


def test_nothing_that_reads_files_unpickles():
    for path in MODULES:
        modules = {module.partition(".")[0] for module in imported(path)}
        assert "pickle" not in modules
        assert "cloudpickle" not in modules or name(path) == "sweeps.engines.ray_tune"
        assert "torch.load" not in path.read_text(encoding="utf-8")
