"""How a method looks: one colour, dash pattern and marker per label, the same in every figure, legible in one paper column.

The eight colours stay apart for readers with protanopia, deuteranopia and tritanopia (Okabe and Ito, 2008, without black
and yellow, with indigo and brown); dashes and markers say the same again, so that a grey print can be read. Black is left
for reference points, grey for chance and notes.
"""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import matplotlib as mpl
from cycler import cycler

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#332288", "#661100")
DASHES: tuple[tuple[float, ...], ...] = ((), (5.0, 1.5), (1.2, 1.2), (5.0, 1.5, 1.2, 1.5), (2.5, 1.2))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
GREY = "#595959"
MM = 1 / 25.4
COLUMN = 84 * MM
PAGE = 174 * MM
FONT = 8.0

_RC = mpl.RcParams(
    {
        "font.size": FONT,
        "font.family": "DejaVu Sans",  # comes with matplotlib, so that every machine draws the same picture
        "axes.titlesize": FONT,
        "axes.labelsize": FONT,
        "xtick.labelsize": FONT,
        "ytick.labelsize": FONT,
        "legend.fontsize": FONT,
        "legend.title_fontsize": FONT,
        "figure.titlesize": FONT,
        "figure.labelsize": FONT,
        "figure.facecolor": "white",
        "figure.constrained_layout.h_pad": 2 / 72,
        "figure.constrained_layout.w_pad": 2 / 72,
        "axes.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlepad": 3.0,
        "axes.labelpad": 2.0,
        "axes.prop_cycle": cycler(color=COLOURS),
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "xtick.major.size": 2.5,
        "ytick.major.size": 2.5,
        "xtick.minor.size": 1.5,
        "ytick.minor.size": 1.5,
        "xtick.major.pad": 2.0,
        "ytick.major.pad": 2.0,
        "lines.linewidth": 1.3,
        "lines.markersize": 3.2,
        "hatch.linewidth": 0.5,
        "legend.frameon": False,
        "legend.borderpad": 0.1,
        "legend.columnspacing": 1.2,
        "legend.handlelength": 2.4,
        "legend.handletextpad": 0.5,
        "pdf.fonttype": 42,  # text stays text
        "svg.fonttype": "path",  # a page looks the same without the font
        "svg.hashsalt": "contrast-sweeps",  # the same picture is the same file
        "savefig.dpi": 200,
    }
)
_drawing = threading.RLock()


@dataclass(frozen=True)
class Look:
    """How one method is drawn: colour (hex), dashes (on, off, ... in line widths; empty is solid), marker."""

    colour: str
    dashes: tuple[float, ...]
    marker: str

    @property
    def line(self) -> tuple[float, tuple[float, ...] | None]:
        """The dash pattern as matplotlib's `linestyle`."""
        return (0.0, self.dashes or None)


def looks(labels: Iterable[str]) -> dict[str, Look]:
    """A look per label in order of appearance; colours come again after eight, then with another dash and marker."""
    return {label: _look(i) for i, label in enumerate(dict.fromkeys(labels))}


@contextmanager
def style() -> Iterator[None]:
    """Matplotlib's settings while a figure is drawn or saved; one thread at a time, since they are the process's own.

    Also a decorator: `@style()`.
    """
    with _drawing, mpl.rc_context():
        mpl.rcdefaults()  # a user's matplotlibrc must not change a report
        mpl.rcParams.update(_RC)
        yield


def _look(i: int) -> Look:
    turn = i // len(COLOURS)
    return Look(COLOURS[i % len(COLOURS)], DASHES[(i + turn) % len(DASHES)], MARKERS[(i + turn) % len(MARKERS)])
