"""Scores of a classifier from its confusion matrix, which adds up over any number of batches (METRICS 9)."""

import numpy as np
import torch
from jaxtyping import Float, Int64, Integer
from torch import Tensor


def confusion_matrix(truth: Integer[Tensor, "*n"], predicted: Integer[Tensor, "*n"], classes: int, ignored: int) -> Int64[Tensor, "c c"]:
    """How many entries of class i are predicted as class j, [i, j]; those whose truth is `ignored` are left out."""
    kept = truth != ignored
    places = truth[kept].long() * classes + predicted[kept].long()
    return torch.bincount(places, minlength=classes**2).view(classes, classes)


def class_recall(confusion: Int64[np.ndarray, "c c"]) -> Float[np.ndarray, " c"]:
    """Share of each class's entries that are found, not a number for classes without entries."""
    return _ratio(confusion.diagonal(), confusion.sum(axis=1))


def class_iou(confusion: Int64[np.ndarray, "c c"]) -> Float[np.ndarray, " c"]:
    """Intersection over union of the entries of each class and those predicted as it; not a number where both are none."""
    hits = confusion.diagonal()
    return _ratio(hits, confusion.sum(axis=1) + confusion.sum(axis=0) - hits)


def class_dice(confusion: Int64[np.ndarray, "c c"]) -> Float[np.ndarray, " c"]:
    """Twice the intersection over the sum of both, 2 IoU / (1 + IoU); not a number where both are none."""
    iou = class_iou(confusion)
    dice: np.ndarray = 2 * iou / (1 + iou)
    return dice


def segmentation_scores(confusion: Int64[np.ndarray, "c c"]) -> dict[str, float]:
    """In percent: `miou`, `mpa`, `fwiou`, `dice`, `pa`; not a number where there is no entry.

    Mean IoU, mean recall and mean Dice coefficient are over the classes that have one: a class that is neither there nor predicted is in
    none, one that is predicted but not there has IoU and Dice 0 and no recall. `fwiou` is IoU weighted by each class's share of the
    entries, `pa` the share of entries that is right. All are of one matrix over the whole set, not means over images.
    """
    iou, share = class_iou(confusion), _ratio(confusion.sum(axis=1), confusion.sum())
    weighted = np.nansum(share * iou) if confusion.any() else np.nan
    right = confusion.trace() / confusion.sum() if confusion.any() else np.nan
    means = {"miou": 100 * _mean(iou), "mpa": 100 * _mean(class_recall(confusion)), "fwiou": 100 * float(weighted)}
    return means | {"dice": 100 * _mean(class_dice(confusion)), "pa": 100 * float(right)}


def _ratio(part: np.ndarray, whole: np.ndarray | np.integer) -> Float[np.ndarray, " c"]:
    with np.errstate(invalid="ignore"):
        ratio: np.ndarray = part / whole
    return ratio


def _mean(values: Float[np.ndarray, " c"]) -> float:
    kept = values[~np.isnan(values)]
    return float(kept.mean()) if len(kept) else np.nan
