"""Rules that several measures put on their fields and on the network they measure."""

from collections.abc import Iterable
from dataclasses import fields
from itertools import pairwise
from math import isfinite

from jaxtyping import Float
from torch import Tensor

from analysis.measure import Measure
from contrast.component import require
from contrast.data.dataset import Dataset
from contrast.data.segmented import SegmentedImages
from contrast.finetune import Finetune
from contrast.logistic_regression import LogisticRegression
from contrast.moco import MoCo
from contrast.pretrain import Pretrain, Untrained
from contrast.pretrained import Pretrained
from contrast.segment import Segment
from contrast.stage import Stage
from contrast.vae import VAE


def require_one_stage(measure: Measure) -> None:
    """Raise `UserError` when `of` is a tuple, or a measure, which leaves no network."""
    require(isinstance(measure.of, Stage), measure, "of", "must be one stage, not a tuple", "Make one measure a stage.")
    require_network(measure, measure.of)


def require_network(measure: Measure, stage: Stage | tuple[Stage, ...]) -> None:
    """Raise `UserError` when one of the stages is a measure."""
    network = not any(isinstance(one, Measure) for one in (stage if isinstance(stage, tuple) else (stage,)))
    require(network, measure, "of", "must leave a network, and a measure leaves numbers", "Pass the stage that was measured.")


def require_image_network(measure: Measure) -> None:
    """Raise `UserError` when `of` is no single network, or one of pixels in the place of images."""
    require_one_stage(measure)
    cure = "Use Segmentation, or KNN and LinearProbe for its encoder."
    require(not isinstance(measure.of, Segment), measure, "of", "gives a class for every pixel and none for an image", cure)


def require_classifier(measure: Measure) -> None:
    """Raise `UserError` unless `of`, as far as its class tells, is a network that ends in a classifier of the classes of `on`."""
    require_image_network(measure)
    assert isinstance(measure.of, Stage)
    require_classifiers(measure, (measure.of,))


def require_classifiers(measure: Measure, stages: Iterable[Stage]) -> None:
    """Raise `UserError` where one of `stages` ends in an encoder or a projection, or in classes that are not those of `on`, in order."""
    for stage in stages:
        require_network(measure, stage)
        encoder = isinstance(stage, MoCo | VAE | Untrained | Pretrained) or (isinstance(stage, Pretrain) and not stage.head.classifies)
        rule = "must end in a classifier, and it ends in an encoder or a projection"
        require(not encoder, measure, "of", rule, "Measure a Finetune of it, or use KNN and LinearProbe for its encoder.")
        if isinstance(stage, Finetune | LogisticRegression | Pretrain):
            on: Dataset = measure.on  # type: ignore[attr-defined]
            rule = f"must end in a classifier of the classes of `on` ({_classes(on)}), and it learned {_classes(stage.data)}"
            require(_alike(stage.data, on), measure, "of", rule, "Measure it on the task that it was tuned on.")


def require_trained_classifiers(measure: Measure, stages: Iterable[Stage]) -> None:
    """Raise `UserError` where one of `stages` is known to keep no log-probabilities of its epochs."""
    networks = (MoCo, VAE, Untrained, Pretrained, Pretrain, Segment)
    without = any(isinstance(one, networks) or (isinstance(one, Measure) and not one.keeps_log_probs) for one in stages)
    rule = "keeps no log-probabilities of its epochs"
    require(not without, measure, "of", rule, "Measure a Finetune, or PretrainingProgress of a pretraining with snapshots.")


def require_above(measure: Measure, field: str, bound: float = 0) -> None:
    """Raise `UserError` unless the number in `field` is finite and above `bound`."""
    value = getattr(measure, field)
    require(isfinite(value) and value > bound, measure, field, f"must be a number above {bound:g}", "Give a larger one.")


def require_samples(measure: Measure, field: str = "samples") -> None:
    """Raise `UserError` unless `field` is None or at least 1."""
    value = getattr(measure, field)
    require(value is None or value >= 1, measure, field, "must be at least 1", "Use None for all samples.")


def require_grid(measure: Measure, radius: float) -> None:
    """Raise `UserError` unless `points`, `span`, `samples`, `ceiling` and `pairs` make surfaces that have a ring of `radius`."""
    points, span, pairs = (getattr(measure, field) for field in ("points", "span", "pairs"))
    require(points >= 3 and points % 2 == 1, measure, "points", "must be odd and at least 3", "Use 17, 25 or 51.")
    wide = isfinite(span) and span >= radius
    require(wide, measure, "span", f"must be at least {radius}, where flatness is read", "Use 1.0.")
    require_samples(measure)
    require_above(measure, "ceiling")
    require(pairs is None or pairs >= 2, measure, "pairs", "must be at least 2", "Use 5 for a paper, None for one plane.")


def require_radii(measure: Measure, field: str = "eps") -> None:
    """Raise `UserError` unless `field` is an increasing tuple of finite numbers from 0 up."""
    radii = getattr(measure, field)
    numbers = len(radii) > 0 and all(isfinite(radius) and radius >= 0 for radius in radii)
    require(numbers, measure, field, "must be finite radii of 0 or more", "Write 8/255 for 8 of 255 pixel levels.")
    increasing = all(a < b for a, b in pairwise(radii))
    require(increasing, measure, field, "must increase, each radius once", "Sort the radii.")


def require_pixel_range(measure: Measure, field: str, radius: float) -> None:
    """Raise `UserError` unless a radius in l_inf is at most 1, beyond which no pixel reaches."""
    require(radius <= 1, measure, field, "must be at most 1, the range of a pixel, for 'linf'", "Write 8 / 255 for 8 of 255 pixel levels.")


def require_one_class(measure: Measure, *fields: str) -> None:
    """Raise `UserError` when the data in one of `fields` has images that show several classes."""
    for field in fields:
        data: Dataset | None = getattr(measure, field)
        single = data is None or not data.multi_label
        require(single, measure, field, "must show one class an image", "Use MeanAveragePrecision for images of several classes.")
        whole = not isinstance(data, SegmentedImages)
        require(whole, measure, field, "has classes for pixels and none for an image", "Use Segmentation, or data with labels.")


def require_same_classes(measure: Measure, field: str) -> None:
    """Raise `UserError` unless the data in `field`, which classify `on`, have its classes in the same order."""
    data, on = getattr(measure, field), measure.on  # type: ignore[attr-defined]
    require(_alike(data, on), measure, field, "must have the classes of `on`, in the same order", "Take both from one data set.")


def require_apart(measure: Measure) -> None:
    """Raise `UserError` where `data`, which something is fitted on, has images of `on`, or is of the test split."""
    data, on = measure.data, measure.on  # type: ignore[attr-defined]
    cure = "Fit on task.fit(phase), and score on task.held_out(phase)."
    apart = split(data) != split(on) or {data.part, on.part} == {"fit", "held_out"}
    require(apart, measure, "data", "must have no image of `on`: what is fitted on images cannot be scored on them", cure)
    require(data.part != "test", measure, "data", "must be of the training split, as nothing is fitted on test images", cure)


def split(data: Dataset) -> tuple[object, ...]:
    """What names the training or test split that `data` is a part of, where ids name images."""
    chosen = ("classes", "per_class", "part", "fraction")
    return (type(data), data.part == "test", *(getattr(data, field.name) for field in fields(data) if field.name not in chosen))


def _alike(data: Dataset, on: Dataset) -> bool:
    chosen = [one.classes or tuple(range(one.num_classes)) for one in (data, on)]
    return data.num_classes == on.num_classes and (data.name != on.name or chosen[0] == chosen[1])


def _classes(data: Dataset) -> str:
    return f"{data.name} {data.classes}" if data.classes is not None else f"all {data.num_classes} of {data.name}"


def require_one_class_tuned(measure: Measure) -> None:
    """Raise `UserError` when a fine-tuning in `of` was one on images that show several classes."""
    stages = measure.of if isinstance(measure.of, tuple) else (measure.of,)
    single = not any(isinstance(stage, Finetune) and stage.data.multi_label for stage in stages)
    require(single, measure, "of", "must be tuned on images of one class each", "Use MeanAveragePrecision for images of several classes.")


def require_classes(measure: Measure, outputs: int, on: Dataset) -> None:
    """Raise `UserError` unless the network that `measure` is of has as many outputs as `on` has classes."""
    rule = f"must end in a classifier of the data's {on.num_classes} classes, and its network has {outputs} outputs"
    require(outputs == on.num_classes, measure, "of", rule, "Measure a Finetune on the classes it was tuned on.")


def require_logits(measure: Measure, outputs: Float[Tensor, "n c"]) -> None:
    """Raise `UserError` when the outputs of the network that `measure` is of are not finite, or are probabilities already."""
    finite = bool(outputs.isfinite().all())
    require(finite, measure, "of", "gives outputs that are not finite, of which nothing can be said", "Look whether its training diverged.")
    sums = bool((outputs >= 0).all()) and bool(((outputs.sum(dim=1) - 1).abs() < 1e-4).all())
    rule = "gives outputs that are 0 or above and sum to 1: these are probabilities, and logits are needed"
    require(not sums, measure, "of", rule, "Leave the softmax out of the network.")


def require_log_probs(measure: Measure, log_probs: Tensor) -> None:
    """Raise `UserError` where stored log-probabilities are no numbers or above 0, as probabilities or logits may be."""
    good = bool((log_probs <= 1e-3).all())  # of what is no number nothing is true
    require(good, measure, "of", "left log-probabilities that are no numbers or above 0", "Measure a training that did not diverge.")


def require_finite_features(measure: Measure, *features: Tensor) -> None:
    """Raise `UserError` where a feature is not finite."""
    finite = all(bool(x.isfinite().all()) for x in features)
    require(finite, measure, "of", "has features that are not finite", "Measure a network that has not diverged.")
