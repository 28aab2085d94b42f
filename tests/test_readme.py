"""The README is true: its Python runs, its commands and options exist, and so do the files and folders that it names."""

import re
import runpy
import sys
import warnings
from dataclasses import fields

import pytest
import typer

import analysis
import contrast
from sweeps.script import app
from tests import driver
from tests.driver import REPOSITORY

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
PYTHON = [block for language, block in BLOCKS if language == "python"]
COMMANDS = [line.partition("#")[0].split() for language, block in BLOCKS if language == "" for line in block.splitlines()]
INLINE = [code.split() for code in re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", README, flags=re.MULTILINE | re.DOTALL))]
SWEEPS = typer.main.get_command(app)


def test_there_is_something_to_keep_true():
    assert PYTHON
    assert len(COMMANDS) > 10


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: block.splitlines()[0].strip('"'))
def test_the_python_of_the_readme_runs(block, tmp_path, fresh_root, monkeypatch):
    short, cuts = re.subn(r"\bepochs=\d+", "epochs=1", block.replace("Digits()", "Digits(per_class=30)"))
    assert cuts
    script = tmp_path / "readme.py"
    script.write_text(short)
    root = fresh_root("readme")
    seeds = [] if "arms=" in block or "Bound(" in block else ["--seeds", "0"]
    monkeypatch.setattr(sys, "argv", ["readme.py", "run", "--engine", "inline", "--trials", "1", *seeds, "--root", str(root)])
    with driver.without_pictures(), pytest.raises(SystemExit) as end:
        runpy.run_path(str(script), run_name="__main__")
    assert not end.value.code
    assert list(root.glob("reports/*/index.html"))


def named():
    """What the README calls: `make` targets, commands of ours, commands of Ray's, each with the words behind."""
    for words in [*COMMANDS, *INLINE]:
        for at, word in enumerate(words):
            if word in ("make", "ray"):
                yield word, words[at + 1 :]
            elif (word == "sweeps" and words[at - 1] == "-m") or (word.endswith(".py") and words[at - 1] == "python"):
                yield "sweeps", [name for name in words[at + 1 :] if name != "|" and name != "--"]


def test_every_make_target_exists():
    targets = re.findall(r"^([\w-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    wanted = {words[0] for tool, words in named() if tool == "make"}
    assert {"sweep", "test", "ui"} <= wanted
    assert wanted <= set(targets)


def test_every_command_and_option_exists():
    calls = [words for tool, words in named() if tool == "sweeps" and words]
    assert {words[0] for words in calls} >= {"list", "plan", "one", "run", "status", "report", "show", "logs"}
    for words in calls:
        commands = [SWEEPS.commands[word] for word in words if word in SWEEPS.commands]
        assert commands, words
        known = {option for command in commands for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known


def test_options_in_prose_exist():
    known = {option for command in SWEEPS.commands.values() for parameter in command.params for option in parameter.opts}
    assert {words[0] for words in INLINE if words[0].startswith("--")} <= known


def test_its_tables_of_fine_tuning_hold_every_field_and_every_method(tmp_path):
    section = README.partition("## Fine-tuning\n")[2].partition("\n## ")[0]
    firsts = [code for row in re.findall(r"^\| (`.*?`) \|", section, re.MULTILINE) for code in re.findall(r"`([^`]+)`", row)]
    values = [f"dict({code})" if "=" in code.partition("(")[0] else code for code in firsts if code != "method"]
    script = tmp_path / "tables.py"
    script.write_text(f"from contrast import *\nVALUES = [{', '.join(values)}]\n")
    held = runpy.run_path(str(script))["VALUES"]
    start = contrast.Untrained(data=contrast.Digits(), encoder=contrast.SmallResNet(), seed=0)
    given = [value for value in held if isinstance(value, dict)]
    for value in given:
        contrast.Finetune(start, data=contrast.Digits(), seed=0, **({"frozen": False} | value))
    plain = {"of", "data", "seed", "epochs", "batch_size", "optimizer", "schedule"}
    assert {name for value in given for name in value} | plain == {each.name for each in fields(contrast.Finetune)}
    exported = {kind for kind in vars(contrast).values() if isinstance(kind, type) and issubclass(kind, contrast.TuningMethod)}
    assert {type(value) for value in held if isinstance(value, contrast.TuningMethod)} == exported - {contrast.TuningMethod}


def test_its_table_of_measures_holds_every_measure():
    section = README.partition("## What is measured\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?`) \|", section, re.MULTILINE)
    held = [re.split(r"\W", code)[0] for row in rows for code in re.findall(r"`([^`]+)`", row)]
    exported = {name for name, kind in vars(analysis).items() if isinstance(kind, type) and issubclass(kind, analysis.Measure)}
    assert sorted(held) == sorted(exported - {"Measure"})


def test_every_command_of_rays_exists():
    with warnings.catch_warnings(action="ignore"):
        from ray.scripts.scripts import cli as ray
    calls = [words for tool, words in named() if tool == "ray"]
    assert calls
    for name, *rest in calls:
        command = ray.commands[name]
        if name == "job":
            command = command.commands[rest[0]]
        known = {option for parameter in command.params for option in parameter.opts}
        before = rest[: rest.index("--")] if "--" in rest else rest
        assert {word for word in before if word.startswith("--")} <= known


def test_everything_the_readme_points_to_exists():
    links = [target for target in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in target]
    folders = [words[0] for words in INLINE if re.fullmatch(r"[\w./]+/|[\w.]+\.(yaml|toml|md)|Makefile", words[0])]
    named_here = [path for path in [*links, *folders] if not path.endswith("__init__.py")]
    assert "contrast/" in named_here
    assert [path for path in named_here if not (REPOSITORY / path).exists()] == []
