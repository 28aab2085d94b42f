"""Loss on the straight lines between networks: one basin, or a barrier between two (METRICS 1)."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.palette import Look, looks, style
from analysis.figures.panels import bottom_label, key, plain_log, sheet, title_of, told_apart
from analysis.measure import Drawn
from contrast.component import UserError

_HALF = 88  # points: of the name of a pair
_MOST = 12  # names, each with a colour
_TWO, _BETWEEN = "two methods", "#8A8A8A"


@style()
def mode_connectivity(drawn: Sequence[Drawn]) -> Figure:
    """Loss (log) against the interpolation coefficient, a panel per measure, a line per pair of networks, a thick one for their mean.

    Arrays `alphas` [A], `loss` and `loss_raw` [pairs, A], `first` and `second` [pairs], indices into `of`. Pairs of one method are
    drawn in its colour, pairs of two methods in the colour of a name of their own, or, where names are many, in grey. Crosses:
    the mean without new statistics of normalisations.
    """
    if not drawn:
        raise UserError("drawn = []: must hold a finished measure. Draw after one is done.")
    half = told_apart((method for one in drawn for pair in _methods(one) for method in pair), _HALF)
    every = [[a if a == b else f"{half[a]} – {half[b]}" for a, b in _methods(one)] for one in drawn]
    if len({name for names in every for name in names}) > _MOST:
        every = [[a if a == b else _TWO for a, b in _methods(one)] for one in drawn]
    look = looks(name for names in every for name in names if name != _TWO)
    look |= {_TWO: Look(_BETWEEN, (), "")} if any(_TWO in names for names in every) else {}
    figure, panels = sheet(len(drawn), 32 if len(drawn) > 1 else 48)
    for axes, one, names in zip(panels, drawn, every, strict=True):
        axes.set_title(title_of(one.panel))
        for name in dict.fromkeys(names):
            _pairs(axes, one, np.array(names) == name, look[name])
    plain_log(panels[0], "y")
    bottom_label(panels, "interpolation coefficient α" if len(drawn) == 1 else "coefficient α")
    figure.supylabel("cross-entropy (nats)")
    counts = sorted({len(one.arrays["loss"]) for one in drawn})
    pairs = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]}–{counts[-1]}"
    thin = f"thin: a pair of networks, {pairs} in a panel; thick: their mean" if counts[-1] > 1 else "one pair of networks"
    key(figure, look, f"{thin}; normalisation statistics taken anew; ×: interpolated", "line")
    return figure


def _methods(one: Drawn) -> list[tuple[str, str]]:
    """The methods of each pair."""
    first, second = ([one.of[int(index)][0] if one.of else one.method for index in one.arrays[end]] for end in ("first", "second"))
    return list(zip(first, second, strict=True))


def _pairs(axes: Axes, one: Drawn, chosen: np.ndarray, look: Look) -> None:
    alphas = one.arrays["alphas"]
    loss, raw = (np.where(np.isfinite(values := one.arrays[name][chosen]), values, np.nan) for name in ("loss", "loss_raw"))
    behind = 1 if look.colour == _BETWEEN else 0
    axes.plot(alphas, raw.mean(axis=0), color=look.colour, lw=0.8, marker="x", ms=3, zorder=2 - behind)
    if len(loss) > 1:
        axes.plot(alphas, loss.T, color=look.colour, lw=0.5, alpha=0.7, zorder=2 - behind)
    axes.plot(alphas, loss.mean(axis=0), color=look.colour, ls=look.line, lw=1.8, zorder=3 - behind)
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
