"""Table 1 as a picture: methods by tasks, a dot a seed, a bar for the interval, and the numbers beside (Table 1).

The last group is the mean over tasks, taken within each seed first, so that its interval speaks of seeds alone.
"""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.palette import COLUMN, GREY, MM, PAGE, Look, looks, style
from analysis.figures.panels import caption, grouped, seeds_in_words, title_of, told_apart
from analysis.measure import Drawn
from analysis.statistics import ALPHA, holm, interval, over_tasks, paired
from analysis.table import Cell, Table, cell, decimals

_HIGH = 220.0  # mm: of a page
Scores = dict[str, dict[int, float]]


@style()
def table1(drawn: Sequence[Drawn], unit: str = "accuracy (%)") -> Figure:
    """The main result of each measure (in `unit`): a group of rows per task, a row per method, then the mean over tasks."""
    look = looks(one.method for one in drawn)
    groups = _scores(drawn)
    names = told_apart(look, 60)
    figure, panels, columns = _panels([len(methods) for methods in groups.values()])
    places = decimals([interval(list(seeds.values())) for methods in groups.values() for seeds in methods.values()])
    for axes, (panel, methods) in zip(panels, groups.items(), strict=True):
        axes.set_title(title_of(panel), loc="left")
        _forest(axes, methods, look, names, places)
    for axes in panels[-columns:]:
        axes.set_xlabel(unit)
    counts = [len(seeds) for methods in groups.values() for seeds in methods.values()]
    bar = "; bar and ±: 95 % t interval" if max(counts) > 2 else "; ±: 95 % t half-width" if max(counts) == 2 else ""
    caption(figure, f"marker: mean of {seeds_in_words(counts)}; dots: single seeds{bar}")
    return figure


def accuracy_table(drawn: Sequence[Drawn], title: str, unit: str = "accuracy (%)") -> Table:
    """The same as a table: a row per method, a column per task, the mean over tasks last.

    The best mean of a column is bold only where paired t tests over shared seeds tell it from every other method, with
    Holm's correction, at 5 %.
    """
    groups = _scores(drawn)
    methods = list(dict.fromkeys(one.method for one in drawn))
    columns = [{method: interval(list(seeds.values())) for method, seeds in group.items()} for group in groups.values()]
    rows: list[tuple[Cell, ...]] = [(method, *(column.get(method) for column in columns)) for method in methods]
    winners = [(winner, c + 1) for c, group in enumerate(groups.values()) if (winner := _winner(group)) is not None]
    footer = f"{unit}: mean ± half-width of the 95 % t interval over pretraining seeds (n)"
    footer += "; bold: best, told from every other by paired t tests, Holm-adjusted p < 0.05" if winners else ""
    names = tuple(title_of(panel) or unit for panel in groups)
    return Table(title, ("method", *names), tuple(rows), footer, frozenset((methods.index(winner), c) for winner, c in winners))


def _winner(group: Scores) -> str | None:
    best = max(group, key=lambda method: interval(list(group[method].values())).mean)
    others = [seeds for method, seeds in group.items() if method != best]
    if not others or any(len(set(seeds) & set(group[best])) < 2 for seeds in others):
        return None
    tests = [paired(group[best], seeds) for seeds in others]
    told = max(holm([test.p if test.p is not None else 1.0 for test in tests])) < ALPHA and all(test.mean > 0 for test in tests)
    return best if told else None


def _scores(drawn: Sequence[Drawn]) -> dict[str, Scores]:
    """Main results by panel, method and seed; with several panels also their mean within each seed, of methods that have all."""
    groups: dict[str, Scores] = {
        panel: {method: {one.seed: next(iter(one.results.values())) for one in group} for method, group in methods.items()}
        for panel, methods in grouped(drawn).items()
    }
    if len(groups) > 1:
        complete = [method for method in dict.fromkeys(one.method for one in drawn) if all(method in group for group in groups.values())]
        means = {method: over_tasks({panel: group[method] for panel, group in groups.items()}) for method in complete}
        groups["mean over tasks"] = {method: seeds for method, seeds in means.items() if seeds}
    return {panel: group for panel, group in groups.items() if group}


def _panels(heights: list[int]) -> tuple[Figure, list[Axes], int]:
    """Axes for groups of so many rows one below the other, or, where a page is too low for that, two side by side across it."""
    columns = 1 if _high(heights) <= _HIGH or len(heights) == 1 else 2
    rows = [max(heights[i : i + columns]) for i in range(0, len(heights), columns)]
    figure = Figure(figsize=(COLUMN if columns == 1 else PAGE, _high(rows) * MM), layout="constrained")
    grid = figure.subplots(len(rows), columns, sharex=True, squeeze=False, height_ratios=[height + 0.4 for height in rows])
    panels = list(grid.flat)
    for spare in panels[len(heights) :]:
        spare.remove()
        panels[len(heights) - columns].xaxis.set_tick_params(labelbottom=True)
    return figure, panels[: len(heights)], columns


def _high(rows: list[int]) -> float:
    return sum(rows) * 4.4 + len(rows) * 5.4 + 9


def _forest(axes: Axes, methods: Scores, look: dict[str, Look], names: dict[str, str], places: int | None) -> None:
    for y, (method, seeds) in enumerate(methods.items()):
        estimate, shape = interval(list(seeds.values())), look[method]
        axes.plot(list(seeds.values()), [y + 0.3] * len(seeds), ".", color=shape.colour, ms=3.5, mec="none", alpha=0.7, zorder=2)
        if not estimate.points_only and estimate.half is not None:
            axes.errorbar(estimate.mean, y, xerr=estimate.half, color=shape.colour, lw=1.1, capsize=2, zorder=3)
        axes.plot(estimate.mean, y, marker=shape.marker, color=shape.colour, ms=4.5, mec="white", mew=0.5, zorder=4)
        axes.text(1.02, y, cell(estimate, places), transform=axes.get_yaxis_transform(), va="center")
    axes.set(ylim=(len(methods) - 0.3, -0.7), yticks=range(len(methods)), yticklabels=[names[method] for method in methods])
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=GREY, lw=0.3, alpha=0.4)
