"""A script that is called wrongly, or ended before it began, says so in one message, or in none after Ctrl-C.

Ctrl-C is pressed when a module is imported, whichever one: the import of that module raises what Ctrl-C raises.
"""

import os
import subprocess
import sys

import pytest

from contrast import UserError
from sweeps import Sweep, main
from tests.driver import REPOSITORY, command, files


def space(trial, seed, phase):
    raise AssertionError("nothing is asked of a space here")


ASKED = Sweep("asked", space)


@pytest.mark.parametrize("name", ["run", "plan", "one", "status", "report"])
def test_a_preset_of_a_sweep_that_has_none_is_refused_and_not_ignored(tmp_path, name):
    ended = command(name, "asked", "--preset", "nonsense", "--root", tmp_path, known={"asked": ASKED})
    assert "--preset = 'nonsense': the sweep 'asked' has no presets. Leave out --preset." in " ".join(ended.err.split())
    assert ended.code == 2
    assert files(tmp_path) == {}


def failing(preset):
    return {}[preset]


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        (lambda preset: None, "sweep 'asked': must return a Sweep, got None. Return Sweep(...)."),
        (lambda: ASKED, "It is called as asked(preset)."),
        (failing, "sweep 'asked': KeyError in failing, test_bad_calls.py:"),
    ],
    ids=["nothing", "no-parameter", "an-exception"],
)
def test_a_declaration_that_gives_no_sweep_is_told(tmp_path, declared, says):
    ended = command("run", "asked", "--root", tmp_path, known={"asked": declared})
    assert says in " ".join(ended.err.split())
    assert ended.code == 2


@pytest.mark.parametrize("given", [3, None, Sweep, "asked"])
def test_main_takes_a_sweep_or_a_function_that_makes_one(given):
    with pytest.raises(UserError, match=r"must be given a Sweep.*Pass Sweep\(\.\.\.\)"):
        main(given, ["run"])


PRESSED = """
import sys

class CtrlC:
    def find_spec(self, name, path=None, target=None):
        if name == "{at}":
            raise KeyboardInterrupt

sys.meta_path.insert(0, CtrlC())
from sweeps.script import serve
from sweeps.catalog import CATALOG
serve(dict(CATALOG), ["run", "quickstart", "--engine", "inline"])
"""


@pytest.mark.parametrize("at", ["torch", "sweeps.launch"])
def test_ctrl_c_while_modules_are_imported_ends_without_a_word(tmp_path, at):
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    ended = subprocess.run(
        [sys.executable, "-c", PRESSED.format(at=at)], capture_output=True, text=True, check=False, cwd=tmp_path, env=environment
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")
    assert files(tmp_path) == {}
