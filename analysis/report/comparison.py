"""Methods against a baseline: what differs, by how much, and how sure one may be, in one table (METRICS 10 and 12)."""

from collections.abc import Hashable, Mapping

from analysis.statistics import ALPHA, Interval, Paired, cannot_reject, distinct, holm, interval, paired, seeds_needed
from analysis.table import Cell, Table
from contrast.component import UserError

Scores = Mapping[str, Mapping[str, Mapping[int, float]]]
Made = Mapping[str, Mapping[str, Mapping[int, Hashable]]]


def compare(scores: Scores, baseline: str, title: str, made: Made | None = None) -> Table:
    """A row per metric and method of `scores[metric][method][seed]`: mean, and paired difference to `baseline` over shared seeds.

    The family of Holm's correction is the whole table: a comparison without a p enters as p = 1. A difference is bold where its
    adjusted p is below 5 %. Of one shared seed only the difference is said; seeds that a method and the baseline do not share
    count in the means alone, and the footer says so. `made` says what made each score, such as a stage's fingerprint: what several
    seeds share counts once, and a difference once for the same two makers. Raises `UserError` when a metric lacks the baseline or
    shares no seed with it.
    """
    for metric, methods in scores.items():
        if baseline not in methods:
            raise UserError(f"baseline = {baseline!r}: must have {metric!r}, which {sorted(methods)} have. Name one of them.")
    makers = made or {m: {method: {seed: seed for seed in seeds} for method, seeds in methods.items()} for m, methods in scores.items()}
    pairs = {
        (m, other): _paired(methods, makers[m], other, baseline) for m, methods in scores.items() for other in methods if other != baseline
    }
    adjusted = dict(zip(pairs, holm([1.0 if test.p is None else test.p for test in pairs.values()]), strict=True))
    rows: list[tuple[Cell, ...]] = []
    bold = set()
    for metric, methods in scores.items():
        for method, seeds in methods.items():
            test = pairs.get((metric, method))
            p = None if test is None or test.p is None else adjusted[metric, method]
            if p is not None and p < ALPHA:
                bold.add((len(rows), 3))
            mean = interval(distinct((makers[metric][method][seed], value) for seed, value in seeds.items()))
            rows.append((metric, method, mean, *_difference(test, p)))
    columns = ("metric", "method", "mean", f"difference to {baseline}", "p (Holm)", "d_z", "detectable", "sign-flip p", "seeds needed")
    return Table(title, columns, tuple(rows), _footer(scores, baseline, pairs, makers), frozenset(bold))


def _paired(methods: Mapping[str, Mapping[int, float]], made: Mapping[str, Mapping[int, Hashable]], method: str, baseline: str) -> Paired:
    """The difference over shared seeds, of those with the same two makers the first."""
    a, b = methods[method], methods[baseline]
    kept = distinct(((made[method][seed], made[baseline][seed]), seed) for seed in sorted(set(a) & set(b)))
    return paired({seed: a[seed] for seed in kept} if kept else a, b)


def _difference(test: Paired | None, p: float | None) -> tuple[Cell, ...]:
    if test is None:
        return (None,) * 6
    difference = Interval(test.mean, test.half, test.n, None)
    return (difference, p, test.dz, test.minimum_detectable, test.sign_flip_p, seeds_needed(test.dz, 1.0) if test.dz else None)


def _footer(scores: Scores, baseline: str, pairs: Mapping[tuple[str, str], Paired], made: Made) -> str:
    parts = ["mean ± half-width of the 95 % t interval over pretraining seeds (n)"]
    if any(len(set(by.values())) < len(by) for methods in made.values() for by in methods.values()):
        parts.append("what is computed once for several seeds counts once")
    if not pairs:
        return "; ".join(parts)
    fewest = min(test.n for test in pairs.values())
    parts.append(f"differences are paired by seed, two-sided t tests, Holm over {len(pairs)} comparisons")
    parts.append(
        "bold: adjusted p < 0.05; detectable: the true difference found with 80 % power; seeds needed: to find the one seen so, if 1000 do"
    )
    if too_few := cannot_reject(fewest):
        parts.append(f"sign-flip p, exact, is no check here: {too_few}")
    apart = [method for m, method in pairs if set(scores[m][method]) != set(scores[m][baseline])]
    if apart:
        parts.append(f"of {', '.join(dict.fromkeys(apart))} and {baseline} only the shared seeds are in the differences")
    return "; ".join(parts)
