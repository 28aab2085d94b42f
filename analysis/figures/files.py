"""A figure as files: SVG for the page, PDF for a paper, PNG at 200 dpi for everything else.

The same figure gives the same bytes: no dates, no random ids.
"""

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from analysis.figures.palette import style

FORMATS: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}


def save(figure: Figure, folder: Path, name: str) -> dict[str, Path]:
    """Write `name`.svg, .pdf and .png into `folder`, which is made if needed; the paths by format.

    The layout is computed once and stays as it is from then on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = {kind: folder / f"{name}.{kind}" for kind in FORMATS}
    with style():
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        for kind, path in paths.items():
            figure.savefig(path, format=kind, metadata=FORMATS[kind])
    return paths
