"""A stratified subset without chance: equally many samples of every class, the first by id order.

The order of samples is that of their content hashes within a class, so the first ones are as good as drawn at random, the
same for every method and seed, and a smaller subset is contained in a larger one.
"""

import numpy as np
from jaxtyping import Int64


def stratified(labels: Int64[np.ndarray, " n"], samples: int | None) -> Int64[np.ndarray, " s"]:
    """Positions of the subset, class by class in turn: every prefix of it is stratified too; None takes all samples.

    A class that has too few samples leaves its turns to the others.
    """
    order = np.argsort(labels, kind="stable")
    counts = np.unique(labels, return_counts=True)[1]
    rank = np.empty(len(labels), dtype=np.int64)
    rank[order] = np.concatenate([np.arange(count) for count in counts])
    return np.lexsort((labels, rank))[:samples]
