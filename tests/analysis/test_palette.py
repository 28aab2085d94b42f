"""Looks and words of figures: colours are told apart by simulated eyes, texts fit the width they have, ticks are round."""

import ast
import itertools
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb

import analysis.figures
from analysis.figures.palette import COLOURS, looks
from analysis.figures.panels import log_ticks, seeds_in_words, short, width_of, wrapped


def test_colours_stay_apart_for_every_kind_of_colour_vision():
    # Severe protanopia, deuteranopia and tritanopia after Machado, Oliveira and Fernandes (2009), in linear RGB.
    protan = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    deutan = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    tritan = [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    for vision in (np.eye(3), protan, deutan, tritan):
        seen = [lab(np.clip(np.array(vision) @ linear(to_rgb(colour)), 0, 1)) for colour in COLOURS]
        assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 15


def linear(rgb):
    rgb = np.array(rgb)
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ rgb / [0.9505, 1, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_a_label_keeps_its_look_by_order_of_appearance_and_forty_differ():
    labels = [f"method {i}" for i in range(40)]
    assert len(set(looks(labels).values())) == 40
    assert looks(["b", "a", "b"]) == looks(["b", "a"])
    assert [look.colour for look in looks(labels[:8]).values()] == list(COLOURS)


def test_text_is_wrapped_and_cut_to_the_width_it_has():
    lines = wrapped("thick: mean of n = 4 seeds; thin: single seeds; band: pointwise 95 % t interval", 150).split("\n")
    assert all(width_of(line) <= 150 for line in lines)
    assert lines[0].endswith(";")
    assert width_of(short("a label that is much too long", 60)) <= 60
    assert short("simclr", 60) == "simclr"
    assert (seeds_in_words([1]), seeds_in_words([4, 4]), seeds_in_words([2, 4])) == ("n = 1 seed", "n = 4 seeds", "n = 2–4 seeds")


@pytest.mark.parametrize(("low", "high"), [(0.03, 1.0), (1e-4, 10.0), (0.11, 4.0), (3.0, 3.3), (1e-6, 1e6), (0.05, 0.2)])
def test_log_ticks_are_two_to_five_round_numbers_in_range(low, high):
    ticks = log_ticks(low, high)
    assert 2 <= len(ticks) <= 5
    assert ticks == sorted(ticks)
    assert all(0.99 * low <= tick <= 1.01 * high for tick in ticks)


def test_no_figure_touches_pyplot():
    for path in Path(analysis.figures.__file__).parent.glob("*.py"):
        imports = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Import | ast.ImportFrom)]
        assert not [node for node in imports if "pyplot" in ast.unparse(node)], path.name
