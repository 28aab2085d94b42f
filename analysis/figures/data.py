"""The numbers behind a figure, as one long table: what is drawn can be drawn again by anyone."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from analysis.measure import Drawn
from analysis.table import Cell, Table


def data(drawn: Sequence[Drawn], title: str) -> Table:
    """A row per entry of each measure's arrays of one or two dimensions; measures without any give a row of their results.

    The arrays of one measure that share the most common first length go side by side, two-dimensional ones a column per
    second index (`coordinates_0`); others are left out. Columns that a measure lacks are empty.
    """
    blocks = [_block(one) for one in drawn]
    columns = list(dict.fromkeys(name for block in blocks for name in block))
    rows: list[tuple[Cell, ...]] = []
    for one, block in zip(drawn, blocks, strict=True):
        for i in range(max((len(values) for values in block.values()), default=0)):
            rows.append((one.method, one.panel, one.seed, i, *(block[name][i] if name in block else None for name in columns)))
    return Table(title, ("method", "panel", "seed", "row", *columns), tuple(rows))


def _block(one: Drawn) -> dict[str, list[Cell]]:
    tables = {name: np.asarray(array) for name, array in one.arrays.items() if array.ndim in (1, 2)}
    if not tables:
        return {name: [value] for name, value in one.results.items()}
    lengths = Counter(len(array) for array in tables.values())
    length = max(lengths, key=lambda n: (lengths[n], n))
    block: dict[str, list[Cell]] = {}
    for name, array in tables.items():
        if len(array) == length:
            flat = array.reshape(length, -1)
            names = [name] if array.ndim == 1 else [f"{name}_{i}" for i in range(flat.shape[1])]
            block |= {column: flat[:, i].tolist() for i, column in enumerate(names)}
    if "model" in block and one.of:
        owners = [one.of[int(i)] if int(i) >= 0 else ("", None) for i in np.asarray(one.arrays["model"])]
        block = {"of_method": [method for method, _ in owners], "of_seed": [seed for _, seed in owners], **block}
    return block
