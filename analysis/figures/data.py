"""The numbers behind a figure, as one table: what is drawn can be drawn again by anyone."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from analysis.measure import Drawn
from analysis.table import Cell, Table

_IMAGES, _WIDE = 4, 10_000  # dimensions; entries a row
Block = dict[str, list[Cell]]


def data(drawn: Sequence[Drawn], title: str) -> Table:
    """Of each measure a row of its results, then a row per entry of its arrays; columns that a row lacks are empty.

    In the row of results `row` and `rows` are empty. Arrays that are equally long stand side by side: `rows` is their length and
    `row` counts from 0. An array of more dimensions has a column per further index (`distance_0_1`). `of_method` and `of_seed` say
    whose the runs of a measure of several are, in their order, or, beside `model`, the run of each row. Left out are images, which
    are arrays of four dimensions or of 8-bit numbers, and what has 10,000 entries a row, as outputs for every sample may.
    """
    found = [(one, rows, block) for one in drawn for rows, block in _blocks(one)]
    columns = list(dict.fromkeys(name for *_, block in found for name in block))
    cells: list[tuple[Cell, ...]] = []
    for one, rows, block in found:
        for i in range(1 if rows is None else rows):
            place = (None, None) if rows is None else (i, rows)
            cells.append((one.method, one.panel, one.seed, *place, *(block[name][i] if name in block else None for name in columns)))
    return Table(title, ("method", "panel", "seed", "row", "rows", *columns), tuple(cells))


def _blocks(one: Drawn) -> Iterator[tuple[int | None, Block]]:
    """The results, without a length, and the arrays of each length in order of appearance."""
    yield None, {name: [value] for name, value in one.results.items()}
    blocks: dict[int, Block] = {}
    owners = _owners(one)
    whose: Block = {"of_method": [method for method, _ in owners], "of_seed": [seed for _, seed in owners]}
    if "model" in one.arrays:
        blocks[len(owners)] = whose
    elif owners:
        yield len(owners), whose  # alone: pairs of three runs are three, too
    for name, array in ((name, np.atleast_1d(array)) for name, array in one.arrays.items()):
        width = math.prod(array.shape[1:])
        if array.ndim < _IMAGES and array.dtype not in (np.uint8, np.int8) and width < _WIDE:
            flat = array.reshape(len(array), width)
            columns = ["_".join(map(str, (name, *index))) for index in np.ndindex(array.shape[1:])]
            blocks.setdefault(len(array), {}).update({column: flat[:, i].tolist() for i, column in enumerate(columns)})
    yield from blocks.items()


def _owners(one: Drawn) -> list[tuple[str, int | None]]:
    """Whose each run is; where `model` says of which run a row is, whose each row is, nobody's below 0."""
    if not one.of or "model" not in one.arrays:
        return list(one.of)
    return [one.of[int(i)] if int(i) >= 0 else ("", None) for i in one.arrays["model"]]
