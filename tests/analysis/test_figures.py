"""Figures are judged on what is really drawn: an Agg renderer is asked for every text and its box, axes for their data.

All figures are drawn from made-up measures. Legible means: every font at least 8 pt at 84 mm, every text inside the
picture, on no other text, and on no panel but its own. True means: lines are the means that were given.
"""

import io
import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import pandas
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.container import ErrorbarContainer
from matplotlib.contour import QuadContourSet
from matplotlib.text import Text

from analysis.calibration.calibration import scores
from analysis.corruptions import PROCEDURAL, STANDARD
from analysis.figures.accuracy_curve import accuracy_curve
from analysis.figures.adversarial_examples import adversarial_examples, magnified
from analysis.figures.calibration import calibration
from analysis.figures.classes import class_bars, confusions, row_shares
from analysis.figures.corruptions import corruptions
from analysis.figures.curvature import spectrum as curvature
from analysis.figures.curves import Curve, curves
from analysis.figures.data import data
from analysis.figures.expected_maximum import best_by_budget
from analysis.figures.files import save
from analysis.figures.gradient_masking import gradient_masking
from analysis.figures.importance import Importance, importance
from analysis.figures.inpca import inpca
from analysis.figures.landscape import landscape
from analysis.figures.local_clusters import local_clusters
from analysis.figures.masks import coloured, masks
from analysis.figures.mce import mce
from analysis.figures.minimal_norm import minimal_norm, misclassified
from analysis.figures.mode_connectivity import mode_connectivity
from analysis.figures.palette import COLOURS, FONT, looks, style
from analysis.figures.panels import told_apart, width_of
from analysis.figures.parallel_coordinates import parallel_coordinates
from analysis.figures.pareto import Axis, Placed, pareto
from analysis.figures.plane import alignment_uniformity
from analysis.figures.progress import progress
from analysis.figures.radius_flatness import radius_flatness
from analysis.figures.robustness import robustness
from analysis.figures.signals import signal
from analysis.figures.slices import Judged, scale_of, slices
from analysis.figures.spectra import spectra
from analysis.figures.suppression import suppression
from analysis.figures.table1 import accuracy_table, table1
from analysis.figures.transform_probe import transform_probe
from analysis.figures.tube import tube
from analysis.measure import Drawn, Measure
from analysis.statistics import interval
from analysis.table import to_csv
from contrast.component import UserError
from contrast.stage import Stage

METHODS = ("simclr", "supcon", "supce")
LONG = tuple(f"a method with a long name {i}" for i in range(13))


@dataclass(frozen=True)
class Some(Measure):
    def measure(self, model, workspace):
        return {"some": 0.0}


@dataclass(frozen=True)
class Nothing(Stage):
    def run(self, workspace):
        return {"done": 1.0}
        yield {}


ANY = Some(Nothing())


def family(make, methods=METHODS, panels=4, seeds=3):
    """Measures of a family: `make(draws, m, p)` gives results and arrays of method m on task p."""
    names = [str(p) for p in range(panels)] if panels > 1 else [""]
    cells = itertools.product(enumerate(methods), enumerate(names), range(seeds))
    return [
        Drawn(method, panel, 10 * seed, *make(np.random.default_rng([m, p, seed]), m, p), ANY) for (m, method), (p, panel), seed in cells
    ]


def suppressed_of(draws, m, p):
    level = np.array([0, 5, 10, 15, 20])
    index = np.array([0, 0.1, 0.5, 0.95, 1.02]) * (1 + 0.1 * m) + 0.03 * draws.normal()
    return {"suppression": float(index.mean())}, {"level": level, "index": index}


def segmented_of(draws, m, p, classes=5):
    confusion = draws.integers(0, 40, (classes, classes)) + 100 * np.diag(draws.integers(1, 9, classes))
    confusion[2] = 0
    iou = confusion.diagonal() / (confusion.sum(axis=0) + confusion.sum(axis=1) - confusion.diagonal())
    return {"miou": 50.0}, {"confusion": confusion, "iou": np.where(np.arange(classes) == 2, np.nan, iou)}


def clustered_of(draws, m, p):
    pixels = np.random.default_rng(p).integers(0, 256, (4, 3, 8, 8), dtype=np.uint8)
    maps = {f"clusters_{layer}": draws.integers(0, 16, (4, 4, side, side), dtype=np.uint8) for layer, side in ((1, 8), (2, 4), (3, 2))}
    return {"silhouette": 0.3}, {"k": np.array([2, 4, 8, 16]), "layer": np.array([1, 2, 3]), "pixels": pixels, **maps}


def progress_of(draws, m, p):
    t = (0.5 + 0.05 * m) * (1 - np.exp(-np.arange(13) / (2 + m))) + 0.02 * draws.normal() + 0.003 * draws.normal(size=13)
    return {"t": float(t[-1]), "length_ratio": 1.5 + 0.1 * m}, {"t": t}


def robust_of(draws, m, p):
    eps = np.array([0, 1, 2, 4, 8]) / 255
    accuracy = np.clip((78 - 3 * m) * np.exp(-eps * 255 / 2.5) + draws.normal(), 0.3, 100)
    return {"accuracy": float(accuracy[-1])}, {"eps": eps, "accuracy": accuracy}


def neighbours_of(draws, m, p):
    accuracy = np.array([60, 66, 68, 65]) + 2 * m + p + draws.normal()
    return {"accuracy": float(accuracy[-1])}, {"k": np.array([1, 5, 20, 200]), "accuracy": accuracy}


def known_of(draws, m, p):
    return {"h": 99 - 9.0 * p + draws.normal(), "z": 30 + 20.0 * (p == 0) + m + 2 * draws.normal(), "chance": (80.0, 25, 50, 50)[p]}, {}


def changed_of(draws, m, p):
    pixels = np.random.default_rng(p).integers(0, 256, (4, 3, 8, 8), dtype=np.uint8)
    return {"fooled": 75.0}, {"pixels": pixels, "change": draws.uniform(-0.03, 0.03, (4, 3, 8, 8)).astype(np.float32)}


def masked_of(draws, m, p):
    left = {"clean": 80, "noise": 78, "square": 60, "fgsm": 50, "pgd": 40 - 5 * m, "more": 39 - 5 * m, "huge": 2 + 20 * (m == 2)}
    return {"suspect": float(m == 2), **{f"accuracy_{name}": float(value + draws.normal()) for name, value in left.items()}}, {}


def distant_of(draws, m, p):
    distances = draws.gamma(2, 0.2 + 0.1 * m, 200)
    distances[: 20 + 10 * m], distances[-4:] = 0, np.inf
    return {"median": float(np.median(distances))}, {"distances": distances, "eps": np.array([0.5, 1.5])}


def surface_of(draws, m, p):
    alphas = np.linspace(-1, 1, 9)
    surface = 0.1 + (5 - m) * alphas[:, None] ** 2 + 2 * alphas**2 + 0.05 * draws.uniform()
    return {"flatness": float(0.4 + 0.1 * m + 0.02 * draws.normal())}, {
        "surface": np.minimum(surface, 4),
        "clipped": surface > 4,
        "alphas": alphas,
    }


def half_measured_of(draws, m, p):
    results, arrays = surface_of(draws, m, p)
    missing = np.add.outer(np.arange(9) % 2, np.arange(9) % 2) > 0
    return results, {**arrays, "surface": np.where(missing, np.nan, arrays["surface"])}


def profile_of(draws, m, p):
    alphas = np.linspace(-1, 1, 21)
    loss = 0.1 + (8 + 3 * m) * (1 + 0.2 * draws.normal(size=(8, 1)) ** 2) * alphas**2
    results = {"radius_rise_1": (8 + 3 * m) ** -0.5}
    return results, {"alphas": alphas, "loss": np.where(loss < 12, loss, np.inf), "error": 80 * (1 - np.exp(-loss / 3))}


def connected(panel="", methods=METHODS, seeds=2):
    """Every two of the networks, with a barrier that statistics that are interpolated make higher."""
    of = tuple((method, 10 * seed) for method in methods for seed in range(seeds))
    first, second = np.array(list(itertools.combinations(range(len(of)), 2))).T
    alphas, draws = np.linspace(0, 1, 11), np.random.default_rng(len(panel))
    loss = 0.2 + 0.02 * draws.random((len(first), 11)) + (1 + draws.random((len(first), 1))) * alphas * (1 - alphas)
    arrays = {"alphas": alphas, "loss": loss, "loss_raw": loss * (1 + 8 * alphas * (1 - alphas)), "first": first, "second": second}
    return Drawn("", panel, 0, {"barrier": 0.5}, arrays, ANY, of)


def spectrum_of(draws, m, p):
    ranks = np.arange(1.0, 65.0)
    values = (10 + m) * ranks ** -(0.8 + 0.2 * m + 0.05 * draws.normal())
    slope, offset = np.polyfit(np.log(ranks[9:32]), np.log(values[9:32]), 1)
    return {"alpha": -float(slope)}, {"eigenvalues": np.where(ranks < 60, values, 0), "fit": np.array([10, 32, offset, -slope])}


def curvature_of(draws, m, p):
    eigenvalues = np.sort(150 / (1 + m) * np.exp(-0.3 * np.arange(5) + 0.1 * draws.normal(size=5)))[::-1]
    nodes = np.concatenate([draws.normal(0, 0.02, 9), -draws.exponential(0.3, 4), eigenvalues])
    weights = np.concatenate([np.full(13, 1 / 13 - 1e-4), np.full(5, 13e-4 / 5)])
    return {"hessian_lambda_max": float(eigenvalues[0])}, {"eigenvalues": eigenvalues, "nodes": nodes[None], "weights": weights[None]}


def flat_of(draws, m, p):
    return {"hessian_lambda_max": 0.0}, {"eigenvalues": np.zeros(3), "nodes": np.zeros((1, 4)), "weights": np.full((1, 4), 0.25)}


def accuracy_of(draws, m, p):
    return {"accuracy": float(70 + 3 * m + p + draws.normal()), "loss": 1.0}, {}


def calibrated_of(draws, m, p):
    """Labels of logits that each method stretches by its own factor, and scaling undoes."""
    logits = torch.from_numpy(draws.normal(0, 2, (200, 4)))
    shares = logits.softmax(dim=1).numpy().cumsum(axis=1)
    labels = torch.from_numpy((draws.random((200, 1)) > shares).sum(axis=1).clip(max=3))
    (before, arrays), (after, _) = (scores(stretch * logits, labels, np.arange(200), 15) for stretch in (0.5 + m, 1))
    return {**before, **{f"scaled_{name}": value for name, value in after.items()}}, arrays


def important(arms=("",), knobs=("temperature", "batch_size", "distribution_weight", "a knob with a very long name")):
    draws = np.random.default_rng(0)
    shares = {arm: np.sort(draws.dirichlet(np.ones(len(knobs))))[::-1] for arm in arms}
    return [
        Importance(arm, knob, share, 0.6 * share, min(1.0, 1.5 * share), share, None if i == 1 else 0.9 * share)
        for arm in arms
        for i, (knob, share) in enumerate(zip(knobs, shares[arm].tolist(), strict=True))
    ]


def tried(arms, n=30):
    return {arm: (70 + 5 * np.random.default_rng(i).random(n + 4 * i)).tolist() for i, arm in enumerate(arms)}


def masks_of(draws, m, p):
    truth = np.random.default_rng(p).integers(0, 3, (4, 8, 8), dtype=np.uint8)
    truth[:, :2] = 255
    pixels = np.random.default_rng(p).integers(0, 256, (4, 3, 8, 8), dtype=np.uint8)
    return {"miou": 50.0 + m}, {"pixels": pixels, "truth": truth, "predicted": draws.integers(0, 3, (4, 8, 8), dtype=np.uint8)}


def corrupted_of(draws, m, p):
    error = np.clip(15 + 3 * m + 5 * draws.normal(size=(15, 1)) + np.arange(5) * 6, 0, 100)
    return {"error": float(error.mean())}, {
        "error": error,
        "ece": error / 300,
        "corruption": np.array(STANDARD),
        "published": np.array([name not in PROCEDURAL for name in STANDARD]),
        "severities": np.arange(1, 6),
        "clean": np.array([12.0 + 3 * m, 0.03]),
    }


def ratio_of(draws, m, p):
    ratio, arrays = 70 + 5 * m + 10 * draws.normal(size=15), corrupted_of(draws, m, p)[1]
    return {"mce": float(ratio.mean())}, {"ratio": ratio, "corruption": arrays["corruption"], "published": arrays["published"]}


def embedded(panel="", methods=METHODS, seeds=3, epochs=8):
    """One joint embedding: P_0 left, P* right, methods fanned out between them; the third axis is imaginary."""
    of = tuple((method, 10 * seed) for method in methods for seed in range(seeds))
    way = np.linspace(0, 1, epochs)
    draws = np.random.default_rng(len(panel))
    runs = [
        np.stack([0.6 * way - 0.3, 0.2 * (i // seeds - 1) * way, 0.1 * way**2, 0 * way, 0 * way], axis=1)
        + 0.01 * draws.normal(size=(epochs, 5))
        for i in range(len(of))
    ]
    ends = np.array([[-0.3, 0, 0, 0, 0], [0.5, 0.05, 0.1, 0, 0]])
    model = np.concatenate([np.repeat(np.arange(len(of)), epochs), [-1, -2]])
    epoch = np.concatenate([np.tile(np.arange(epochs), len(of)), [0, 0]])
    eigenvalues = np.array([3.0, 1.0, -0.5] + [0.0] * (len(model) - 3))
    arrays = {"coordinates": np.concatenate([*runs, ends]), "eigenvalues": eigenvalues, "model": model, "epoch": epoch}
    return Drawn("", panel, 0, {"explained_stress": 1.0}, arrays, ANY, of)


def tube_of(panel="", methods=METHODS, seeds=3):
    of = tuple((method, 10 * seed) for method in methods for seed in range(seeds))
    t, draws = np.linspace(0.05, 0.7, 51), np.random.default_rng(len(panel))
    distance = 0.2 * t[:, None, None] * (0.5 + draws.uniform(size=(len(of), len(of))))
    return Drawn("", panel, 0, {"distance": 0.1}, {"t": t, "distance": distance + distance.transpose(0, 2, 1)}, ANY, of)


def added(one):
    """As if the first run were new and lay on the axes of the others."""
    model = one.arrays["model"]
    arrays = one.arrays | {"model": np.where(model > 0, -2 - model, model)}
    return replace(one, arrays=arrays, of=one.of[:1])


def candidates(arms=("",)):
    found = []
    for i in range(18):
        draws = np.random.default_rng(i)
        knobs = {
            "temperature": float(10 ** draws.uniform(-1.5, 0)),
            "batch_size": int(2 ** draws.integers(5, 9)),
            "distribution_weight": float(10 ** draws.uniform(-4, 1)),
            "projection_depth": int(draws.integers(0, 5)),
            "optimizer": ("sgd", "lars")[i % 2],
        }
        found.append(
            Judged(arms[i % len(arms)], knobs, None if i % 6 == 5 else interval((70 + 4 * draws.normal(size=1 + 2 * (i % 2))).tolist()))
        )
    return found


def chosen(i):
    return Judged("", {"optimizer": f"an optimizer of number {i}", "depth": i}, interval([70.0 + i]))


def apart(methods):
    """Of two tasks `a` has the first alone, `b` the second, others both."""
    every = family(corrupted_of, methods=methods, panels=2, seeds=2)
    return [one for one in every if one.method not in "ab" or (one.method == "a") == (one.panel == "0")]


def curve(label, seed, epochs=20):
    draws = np.random.default_rng([seed, *label.encode()])
    return Curve(
        label, seed, tuple(range(1, epochs + 1)), tuple((4 + np.exp(-np.arange(epochs) / 5) + 0.1 * draws.normal(size=epochs)).tolist())
    )


def alignment_of(draws, m, p):
    return {"alignment": 0.2 + 0.05 * m + 0.02 * float(draws.normal())}, {}


def uniformity_of(draws, m, p):
    return {"uniformity": -2.8 + 0.1 * m + 0.05 * float(draws.normal())}, {}


def dots(arms, count=12):
    return {arm: np.random.default_rng(i).normal(size=(count, 2)) for i, arm in enumerate(arms)}


def placed(objectives, arms=("",), count=24):
    """Candidates around a trade-off; the front is worked out here by comparing all pairs of an arm."""
    draws = np.random.default_rng(objectives)
    rows = [(arms[i % len(arms)], 60 + 20 * draws.random(objectives) ** 0.5, draws.random() > 0.2) for i in range(count)]

    def front(arm, values):
        others = [other for label, other, feasible in rows if label == arm and feasible]
        return not any((other >= values).all() and (other > values).any() for other in others)

    return [Placed(arm, tuple(values.tolist()), feasible and front(arm, values), feasible) for arm, values, feasible in rows]


OBJECTIVES = [Axis("accuracy/* (%)", True), Axis("lower bound of pgd/* (%)", True), Axis("flatness", True), Axis("knn", True)]
PICTURES = {
    "suppression": lambda: suppression(family(suppressed_of)),
    "suppression of one task": lambda: suppression(family(suppressed_of, methods=("a",), panels=1, seeds=1)),
    "IoU of classes": lambda: class_bars(family(segmented_of, panels=2)),
    "confusions": lambda: confusions(family(segmented_of, panels=2)),
    "confusions of one": lambda: confusions(family(lambda *of: segmented_of(*of, classes=21), methods=("",), panels=1, seeds=1)),
    "confusions of a hundred classes": lambda: confusions(
        family(lambda *of: segmented_of(*of, classes=100), methods=LONG[:4], panels=1, seeds=1)
    ),
    "local clusters": lambda: local_clusters(family(clustered_of, methods=("",), panels=1)),
    "local clusters of two tasks, eight methods": lambda: local_clusters(
        family(clustered_of, methods=[f"method number {i}" for i in range(8)], panels=2)
    ),
    "alignment and uniformity": lambda: alignment_uniformity(family(alignment_of), family(uniformity_of)),
    "alignment and uniformity of thirteen methods": lambda: alignment_uniformity(
        *(family(make, methods=[f"a method with a long name {i}" for i in range(13)], panels=1) for make in (alignment_of, uniformity_of))
    ),
    "signal": lambda: signal(dots(("",)), "rankme", "accuracy/*"),
    "signal of three arms": lambda: signal(dots(METHODS), "uniformity/projection", "lower bound of accuracy/* on all tasks of the sweep"),
    "pareto": lambda: pareto(placed(2, METHODS), OBJECTIVES[:2]),
    "pareto of four objectives": lambda: pareto(placed(4), OBJECTIVES),
    "progress": lambda: progress(family(progress_of)),
    "progress of two seeds on three tasks": lambda: progress(
        family(progress_of, methods=[f"temperature 0.{i}" for i in range(5)], panels=3, seeds=2)
    ),
    "progress of one task": lambda: progress(family(progress_of, panels=1, seeds=1)),
    "progress of thirteen methods": lambda: progress(
        family(progress_of, methods=[f"a method with a long name, number {i}" for i in range(13)], panels=2, seeds=4)
    ),
    "progress of one method": lambda: progress(family(progress_of, methods=("simclr",), panels=5, seeds=2), "pretraining epoch"),
    "robustness": lambda: robustness(family(robust_of), chance=20),
    "robustness of one task, thirteen methods": lambda: robustness(
        family(robust_of, methods=[f"a method with a long name {i}" for i in range(13)], panels=1, seeds=2), scale=1, radius="radius ε (L2)"
    ),
    "adversarial examples": lambda: adversarial_examples(family(changed_of, panels=1)),
    "adversarial examples of two tasks, eight methods": lambda: adversarial_examples(
        family(changed_of, methods=[f"method number {i}" for i in range(8)], panels=2)
    ),
    "gradient masking": lambda: gradient_masking(family(masked_of)),
    "gradient masking of thirteen methods": lambda: gradient_masking(
        family(masked_of, methods=[f"a method with a long name {i}" for i in range(13)], panels=1, seeds=1)
    ),
    "minimal norms": lambda: minimal_norm(family(distant_of)),
    "minimal norms of one task, one seed": lambda: minimal_norm(
        family(distant_of, methods=("a label too long to fit",), panels=1, seeds=1)
    ),
    "accuracy by neighbours": lambda: accuracy_curve(family(neighbours_of), "k", "neighbours k", 10),
    "accuracy by neighbours of one task": lambda: accuracy_curve(family(neighbours_of, panels=1, seeds=1), "k", "neighbours k"),
    "transform probe": lambda: transform_probe(family(known_of)),
    "transform probe of one change": lambda: transform_probe(family(known_of, methods=("a label that is too long",), panels=1, seeds=1)),
    "calibration": lambda: calibration(family(calibrated_of)),
    "calibration of one seed, five methods": lambda: calibration(
        family(calibrated_of, methods=(*METHODS, "random", "a label too long to fit"), panels=1, seeds=1)
    ),
    "importance": lambda: importance(important(), 64),
    "importance of eight arms": lambda: importance(important([f"method number {i}" for i in range(8)]), 512),
    "best by budget": lambda: best_by_budget(tried([""]), "kNN accuracy (%)"),
    "best by budget of three arms": lambda: best_by_budget(tried(METHODS), "loss (nats)", maximize=False),
    "curvature": lambda: curvature(family(curvature_of, methods=(*METHODS, "a label that is too long to fit"), panels=2)),
    "curvature of one": lambda: curvature(family(curvature_of, methods=("simclr",), panels=1, seeds=1)),
    "curvature of zeros": lambda: curvature(family(flat_of, methods=("a", "b"), panels=1)),
    "landscape": lambda: landscape(family(surface_of, panels=1)),
    "landscape of two tasks, five methods": lambda: landscape(
        family(surface_of, methods=(*METHODS, "random", "a label too long to fit"), panels=2, seeds=2)
    ),
    "landscape of one task, five methods": lambda: landscape(family(surface_of, methods=(*METHODS, "random", "e"), panels=1, seeds=1)),
    "landscape, half measured": lambda: landscape(family(half_measured_of, panels=1, seeds=1)),
    "radius flatness": lambda: radius_flatness(family(profile_of, panels=1)),
    "radius flatness of four tasks, eight methods": lambda: radius_flatness(
        family(profile_of, methods=[f"method number {i}" for i in range(8)], seeds=2)
    ),
    "mode connectivity": lambda: mode_connectivity([connected()]),
    "mode connectivity of four tasks": lambda: mode_connectivity([connected(str(p), methods=METHODS[:1], seeds=3) for p in range(4)]),
    "mode connectivity of three long names": lambda: mode_connectivity([connected(methods=LONG[:3])]),
    "mode connectivity of thirteen methods": lambda: mode_connectivity([connected(methods=LONG)]),
    "inpca": lambda: inpca([embedded(str(p)) for p in range(4)]),
    "tube": lambda: tube([tube_of(str(p)) for p in range(4)]),
    "tube of one task, two seeds": lambda: tube([tube_of(seeds=2)]),
    "inpca of new runs": lambda: inpca([added(embedded(str(p), seeds=1)) for p in range(2)]),
    "inpca of one task": lambda: inpca([embedded(seeds=1)]),
    "masks": lambda: masks(family(masks_of, methods=("",), panels=1)),
    "masks of two tasks, eight methods": lambda: masks(family(masks_of, methods=[f"method number {i}" for i in range(8)], panels=2)),
    "spectra": lambda: spectra(family(spectrum_of)),
    "spectra of one task, thirteen methods": lambda: spectra(
        family(spectrum_of, methods=[f"method number {i}" for i in range(13)], panels=1, seeds=2)
    ),
    "corruptions": lambda: corruptions(family(corrupted_of, panels=2)),
    "corruptions of thirteen methods": lambda: corruptions(
        family(corrupted_of, methods=[f"a method with a long name {i}" for i in range(13)], panels=1, seeds=1)
    ),
    "mce": lambda: mce(family(ratio_of, methods=METHODS[:2], panels=1), "supce"),
    "mce of thirteen methods": lambda: mce(family(ratio_of, methods=[f"a method with a long name {i}" for i in range(13)], panels=2), "e"),
    "corruptions of methods of which none has every task": lambda: corruptions(apart(("a", "b"))),
    "corruptions of methods of which one has every task": lambda: corruptions(apart(("a", "b", "c"))),
    "corruptions of thirteen methods on four tasks": lambda: corruptions(family(corrupted_of, methods=LONG, seeds=1)),
    "table1": lambda: table1(family(accuracy_of)),
    "table1 of thirteen methods": lambda: table1(family(accuracy_of, methods=LONG)),
    "table1 of thirteen methods on one task": lambda: table1(family(accuracy_of, methods=LONG, panels=1, seeds=1)),
    "slices": lambda: slices(candidates(arms=("simclr", "supcon")), "kNN accuracy (%)", best=3),
    "parallel coordinates": lambda: parallel_coordinates(candidates(), "kNN accuracy (%)"),
    "slices of thirteen choices": lambda: slices([chosen(i) for i in range(13)], "accuracy"),
    "parallel coordinates of thirteen arms": lambda: parallel_coordinates(candidates(arms=LONG), "accuracy"),
    "curves": lambda: curves([curve(m, s, 20 if s else 12) for m in METHODS for s in range(3)], "NT-Xent loss (nats)", log=True),
    "curves of many": lambda: curves([curve(f"candidate {i}", 0) for i in range(12)], "kNN accuracy (%)"),
}


@pytest.fixture(scope="module", params=PICTURES)
def picture(request):
    """A figure, and every text that Agg draws of it with its box in pixels."""
    figure, found, draw = PICTURES[request.param](), [], Text.draw

    def spy(text, renderer, *args, **kwargs):
        if text.get_visible() and text.get_text().strip():
            found.append((text, text.get_window_extent(renderer)))
        return draw(text, renderer, *args, **kwargs)

    with style(), pytest.MonkeyPatch.context() as patch:
        canvas = FigureCanvasAgg(figure)
        figure.draw_without_rendering()
        patch.setattr(Text, "draw", spy)
        figure.draw(canvas.get_renderer())
    return figure, found


def owners(figure):
    """Which panel each text belongs to."""
    return {text: axes for axes in figure.axes for text in axes.findobj(Text)}


def overlap(a, b, slack):
    """Whether two boxes share more than `slack` pixels in both directions."""
    return min(a.x1, b.x1) - max(a.x0, b.x0) > slack and min(a.y1, b.y1) - max(a.y0, b.y0) > slack


def test_a_picture_fits_a_paper_column_in_fonts_of_8_points(picture):
    figure, texts = picture
    assert figure.get_figwidth() * 25.4 == pytest.approx(84) or figure.get_figwidth() * 25.4 == pytest.approx(174)
    assert texts
    assert min(text.get_fontsize() for text, _ in texts) >= FONT == 8


def test_no_text_leaves_the_picture(picture):
    figure, texts = picture
    outside = [
        text.get_text() for text, box in texts if box.x0 < -1 or box.y0 < -1 or box.x1 > figure.bbox.x1 + 1 or box.y1 > figure.bbox.y1 + 1
    ]
    assert not outside


def test_no_text_lies_on_another(picture):
    _, texts = picture
    slack = 1.5  # pixels at 100 dpi: boxes are as high as the tallest letter
    clashes = [(a.get_text(), b.get_text()) for (a, x), (b, y) in itertools.combinations(texts, 2) if overlap(x, y, slack)]
    assert not clashes


def test_no_text_lies_on_a_panel_but_its_own(picture):
    figure, texts = picture
    owner = owners(figure)
    panels = [axes for axes in figure.axes if axes.get_visible() and axes.axison]
    clashes = [
        (t.get_text(), p.get_title())
        for t, box in texts
        for p in panels
        if owner.get(t) is not p and overlap(box, p.get_window_extent(), 1)
    ]
    assert not clashes


def means(axes, colour):
    """The thick line of one colour."""
    lines = [line for line in axes.lines if to_hex(line.get_color()) == colour.lower() and line.get_linestyle() != "None"]
    (line,) = [line for line in lines if line.get_linewidth() > 1]
    return np.asarray(line.get_xdata(), dtype=float), np.asarray(line.get_ydata(), dtype=float)


@pytest.mark.parametrize("make", [progress_of, robust_of])
def test_lines_are_the_means_over_seeds(make):
    drawn = family(make, panels=2, seeds=3)
    figure, name = (progress(drawn), "t") if make is progress_of else (robustness(drawn), "accuracy")
    for axes, panel in zip([axes for axes in figure.axes if axes.get_title().startswith("task")], "01", strict=True):
        assert axes.get_title() == f"task {panel}"
        for method, look in looks(METHODS).items():
            given = [one.arrays[name] for one in drawn if (one.panel, one.method) == (panel, method)]
            x, y = means(axes, look.colour)
            assert y == pytest.approx(np.mean(given, axis=0), abs=1e-12)
            assert x == pytest.approx(np.arange(13) if name == "t" else [0, 1, 2, 4, 8])
            hairlines = [line for line in axes.lines if line.get_color() == look.colour and line.get_linewidth() < 1]
            assert np.array([line.get_ydata() for line in hairlines]) == pytest.approx(np.array(given))


def test_the_map_has_the_final_progress_of_every_cell_with_its_interval_and_length_ratio():
    drawn = family(progress_of, panels=4, seeds=3)
    below = progress(drawn).axes[-1]
    (image,) = below.get_images()
    assert [label.get_text() for label in below.get_xticklabels()] == list(METHODS)
    for p, row in enumerate(image.get_array()):
        for m, value in enumerate(row):
            given = [one.results["t"] for one in drawn if (one.panel, one.method) == (str(p), METHODS[m])]
            assert value == pytest.approx(np.mean(given))
            wanted = f"{np.mean(given):.3f}\n± {interval(given).half:.3f}\n× {1.5 + 0.1 * m:.3g}"
            assert below.texts[3 * p + m].get_text() == wanted
    assert len(progress(family(progress_of, methods=("a",), panels=1)).axes) == 1
    few = [one for one in drawn if (one.panel, one.method) != ("1", "supcon")]
    assert progress(few).axes[-1].get_images()[0].get_array().mask.sum() == 1


def test_beside_the_accuracy_under_attack_is_its_share_of_the_accuracy_without():
    drawn = [replace(one, results=one.results | {"clean": 80.0}) for one in family(robust_of, methods=("a",), panels=1, seeds=1)]
    cut = [replace(one, arrays={name: array[1:] for name, array in one.arrays.items()}) for one in drawn]
    for given, clean in ((drawn, drawn[0].arrays["accuracy"][0]), (cut, 80.0)):
        left, right = robustness(given).axes
        colour = looks(["a"])["a"].colour
        assert means(left, colour)[1] == pytest.approx([clean, *drawn[0].arrays["accuracy"][1:]])
        assert means(right, colour)[1] == pytest.approx(100 * means(left, colour)[1] / clean)


def test_no_change_is_grey_and_a_fortieth_of_the_range_is_white():
    assert magnified(np.array([[[0.0, 0.025, -0.025, 0.5, 0.0125]]])).tolist() == [[[128, 255, 0, 255, 191]]]


def test_the_curve_of_minimal_norms_is_their_distribution():
    distances = np.array([0, 0.5, np.inf, 0.2, 0])
    assert misclassified(distances, np.array([0, 0.2, 0.4, 0.6]), False) == pytest.approx([40, 60, 60, 80])
    assert misclassified(distances, np.array([0, 0.2, 0.4, 0.6]), True) == pytest.approx([0, 100 / 3, 100 / 3, 200 / 3])
    assert np.isnan(misclassified(np.zeros(3), np.array([0.1]), True)).all()


def test_spectra_are_shares_of_the_variance_with_the_power_law_on_its_ranks():
    drawn = family(spectrum_of, methods=("a",), panels=1, seeds=2)
    (axes,) = spectra(drawn).axes
    shares = np.array([one.arrays["eigenvalues"] / one.arrays["eigenvalues"].sum() for one in drawn])[:, :59]
    x, y = means(axes, COLOURS[0])
    assert x == pytest.approx(np.log10(np.arange(1, 60)))
    assert y == pytest.approx(np.log10(shares).mean(axis=0))
    (law,) = [line for line in axes.lines if line.get_color() == "black"]
    assert law.get_xdata() == pytest.approx(np.log10([10, 32]))
    assert law.get_ydata() == pytest.approx(y[[9, 31]], abs=1e-9), "these eigenvalues are a power law"


def test_densities_of_curvature_integrate_to_one_on_one_axis_and_the_largest_eigenvalues_are_means():
    figure = curvature(measures := family(curvature_of, methods=METHODS[:2], panels=1))
    first, second, largest = figure.axes
    assert first.get_xlim() == second.get_xlim()
    assert first.get_ylim() == second.get_ylim()
    x, y = first.lines[-1].get_data()
    assert np.trapezoid(y, x) == pytest.approx(1, abs=0.02)
    mean = np.mean([one.arrays["eigenvalues"] for one in measures if one.method == "simclr"], axis=0)
    assert np.allclose(largest.containers[0].lines[0].get_ydata(), mean)


def test_reliability_diagrams_pool_the_samples_of_all_seeds_and_dumbbells_go_from_before_to_after():
    drawn = family(calibrated_of, methods=("a", "b"), panels=1)
    upper, lower, errors, _ = calibration(drawn).axes
    group = [one for one in drawn if one.method == "b"]
    count = sum(one.arrays["count"] for one in group)
    right = sum(np.nan_to_num(one.arrays["accuracy"]) * one.arrays["count"] for one in group)
    _, accuracy = means(upper, looks("ab")["b"].colour)
    assert accuracy == pytest.approx((right / np.maximum(count, 1))[count > 0])
    assert lower.patches[1].get_data().values == pytest.approx(count / count.sum())
    markers = [line for line in errors.lines if line.get_linestyle() == "None" and line.get_marker() == "s"]
    hollow, full = (line.get_xdata()[0] for line in markers)
    unscaled = [replace(one, results=one.results | {"scaled_ece": np.nan, "scaled_nll": np.nan}) for one in group]
    alone = calibration([one for one in drawn if one.method == "a"] + unscaled).axes[2]
    assert [line.get_marker() for line in alone.lines if line.get_marker() in "os" and line.get_linestyle() == "None"] == ["o", "o", "s"]
    assert (hollow, full) == pytest.approx([np.mean([one.results[name] for one in group]) for name in ("ece", "scaled_ece")])


def test_a_band_needs_three_seeds_and_the_note_says_so():
    for seeds, bands, words in (
        (1, 0, "n = 1 seed, no interval"),
        (2, 0, "no interval below 3 seeds"),
        (3, 1, "pointwise 95 % t interval"),
    ):
        figure = progress(family(progress_of, methods=("a",), panels=1, seeds=seeds))
        assert len(figure.axes[0].collections) == bands
        assert words in " ".join(text.get_text() for text in figure.findobj(Text)).replace("\n", " ")


def test_a_band_of_accuracies_stays_between_0_and_100():
    low = {"eps": np.array([0.0, 1.0]), "accuracy": np.array([99.0, 0.5])}
    drawn = [
        Drawn("a", "", seed, {"accuracy": 0.0}, {**low, "accuracy": low["accuracy"] + shift}, ANY)
        for seed, shift in enumerate((-0.4, 0.3, 0.9))
    ]
    (band,) = robustness(drawn, scale=1).axes[0].collections
    edges = band.get_paths()[0].vertices[:, 1]
    assert edges.min() > 0
    assert edges.max() < 100


def test_the_runs_of_as_many_pairs_are_not_told_beside_them():
    arrays = {"first": np.array([0, 0, 1]), "second": np.array([1, 2, 2])}
    one = Drawn("", "", 0, {"barrier": 1.0}, arrays, ANY, (("a", 0), ("b", 1), ("c", 2)))
    table = data([one], "pairs")
    first, whose = table.columns.index("first"), table.columns.index("of_method")
    assert [row[whose] for row in table.rows if row[whose] is not None] == ["a", "b", "c"]
    assert all(row[whose] is None for row in table.rows if row[first] is not None)


def test_the_plane_joins_both_numbers_of_a_run_and_leaves_out_runs_of_one():
    first, second = (family(make, methods=("a",), panels=1, seeds=4) for make in (alignment_of, uniformity_of))
    (axes,) = alignment_uniformity(first, second[::-1][:3]).axes
    runs = np.array([(one.results["alignment"], other.results["uniformity"]) for one, other in zip(first, second, strict=True)][1:])
    small, large = (line for line in axes.lines if line.get_marker() == "o")
    assert small.get_xydata() == pytest.approx(runs)
    assert large.get_xydata() == pytest.approx(runs.mean(axis=0)[None])
    (bars,) = [one for one in axes.containers if isinstance(one, ErrorbarContainer)]
    ends = [segment[:, i] for i, segment in enumerate(one.get_segments()[0] for one in bars.lines[2])]
    for found, values in zip(ends, runs.T, strict=True):
        expected = interval(values.tolist())
        assert found == pytest.approx([expected.mean - expected.half, expected.mean + expected.half])
    with pytest.raises(UserError, match="no run in common"):
        alignment_uniformity(first[:1], second[1:])


def test_a_signal_is_shown_with_tau_within_each_arm():
    given = {"a": np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0], [4.0, 5.0], [5.0, 4.0]]), "b": np.array([[1.0, 2.0], [2.0, 1.0]])}
    figure = signal(given, "rankme", "knn")
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words[0].startswith("τ = 0.80 [")
    assert words[1] == "τ = −1.00, n = 2: b"
    shown = [line.get_xydata() for line in figure.axes[0].lines]
    assert all(np.array_equal(one, each) for one, each in zip(shown, given.values(), strict=True))
    with pytest.raises(UserError, match="must hold a judged candidate"):
        signal({}, "rankme", "knn")


def test_inpca_names_each_axis_by_its_share_of_stress_and_has_one_unit_of_length():
    figure = inpca([embedded()])
    upper, lower, scree = figure.axes
    FigureCanvasAgg(figure).draw()
    assert (lower.get_xlabel(), upper.get_ylabel(), lower.get_ylabel()) == ("PC1 (88 %, real)", "PC2\n9.8 %, real", "PC3\n2.4 %, imag.")
    assert [bar.get_height() for bar in scree.patches[:4]] == [3, 1, -0.5, 0]
    assert [to_hex(bar.get_facecolor()) for bar in scree.patches[1:3]] == ["#000000", "#ffffff"]
    scales = [(axes.bbox.width / np.ptp(axes.get_xlim()), axes.bbox.height / np.ptp(axes.get_ylim())) for axes in (upper, lower)]
    assert np.ravel(scales) == pytest.approx(scales[0][0], rel=1e-3)


def test_inpca_draws_each_seed_the_mean_and_both_ends():
    one = embedded()
    upper = inpca([one]).axes[0]
    for i, (method, look) in enumerate(looks(METHODS).items()):
        rows = np.array([one.arrays["coordinates"][one.arrays["model"] == 3 * i + seed] for seed in range(3)])
        x, y = means(upper, look.colour)
        assert np.stack([x, y], axis=1) == pytest.approx(rows.mean(axis=0)[:, :2]), method
    stars = [line.get_xydata()[0] for line in upper.lines if line.get_marker() == "*"]
    assert np.array(stars) == pytest.approx(one.arrays["coordinates"][-2:, :2])


def test_inpca_draws_the_runs_that_its_axes_were_made_of_in_grey_behind_new_ones():
    one = added(embedded(seeds=1))
    upper = inpca([one]).axes[0]
    grey = [line.get_xydata() for line in upper.lines if to_hex(line.get_color()) == "#b0b0b0"]
    assert len(grey) == 2
    for found, i in zip(grey, (-4, -3), strict=True):
        assert found == pytest.approx(one.arrays["coordinates"][one.arrays["model"] == i][:, :2])


def test_no_line_of_a_tube_leaves_its_panels():
    first, second = (tube_of(panel, methods=("a",)) for panel in "01")
    wide = replace(second, arrays=second.arrays | {"distance": 10 * second.arrays["distance"]})
    top = tube([first, wide]).axes[0].get_ylim()[1]
    assert top > np.nanmax(wide.arrays["distance"][:, ~np.eye(len(wide.of), dtype=bool)])


def test_tube_draws_the_mean_over_a_methods_pairs_and_nothing_of_single_seeds():
    one = tube_of()
    axes = tube([one]).axes[0]
    for i, look in enumerate(looks(METHODS).values()):
        pairs = [one.arrays["distance"][:, 3 * i + a, 3 * i + b] for a, b in ((0, 1), (0, 2), (1, 2))]
        x, y = means(axes, look.colour)
        assert (x, y) == (pytest.approx(one.arrays["t"]), pytest.approx(np.mean(pairs, axis=0)))
    assert tube([tube_of(seeds=1)]) is None


def test_inpca_refuses_labels_that_are_not_of_its_own_runs():
    one = embedded(seeds=1)
    with pytest.raises(UserError, match="has no row of 'extra'"):
        inpca([Drawn(one.method, one.panel, 0, one.results, one.arrays, ANY, (*one.of, ("extra", 1)))])


def test_surfaces_share_levels_and_alpha_is_the_first_index():
    def make(draws, m, p):
        alphas = np.linspace(-1, 1, 9)
        surface = np.where(alphas > 0.4, 3.0, 0.5)[:, None] * np.ones(9) * (1 + m)
        return {"flatness": 1.0}, {"surface": surface, "clipped": np.zeros((9, 9), dtype=bool), "alphas": alphas}

    figure = landscape(family(make, methods=("a", "b"), panels=1))
    filled = [next(iter(axes.findobj(QuadContourSet))) for axes in figure.axes[:2]]
    assert (filled[0].levels == filled[1].levels).all()
    top = filled[1].get_paths()[-1].vertices
    assert top[:, 0].min() > 0.2, "the high ground lies at large alpha"
    assert (top[:, 1].min(), top[:, 1].max()) == (-1, 1), "and at every beta"


def test_hatching_marks_what_is_known_only_to_lie_above():
    for limit, hatched in ((4, True), (100, False)):

        def make(draws, m, p, limit=limit):
            alphas = np.linspace(-1, 1, 9)
            surface = 0.1 + 5 * alphas[:, None] ** 2 + alphas**2
            return {"flatness": 1.0}, {"surface": np.minimum(surface, limit), "clipped": surface > limit, "alphas": alphas}

        figure = landscape(family(make, methods=("a",), panels=1))
        assert any(any(set_.hatches) for set_ in figure.axes[0].findobj(QuadContourSet)) == hatched


def test_masks_are_those_of_the_first_seed_in_the_colours_of_pascal_voc():
    drawn = family(masks_of, panels=1)
    shown = [[image.get_array() for image in axes.get_images()] for axes in masks(drawn).axes]
    assert all(len(images) == 1 for images in shown)
    expected = [drawn[0].arrays["pixels"][1].transpose(1, 2, 0), coloured(drawn[0].arrays["truth"][1])]
    expected += [coloured(drawn[3 * m].arrays["predicted"][1]) for m in range(3)]
    for found, wanted in zip(shown[5:10], expected, strict=True):
        assert np.array_equal(found[0], wanted)
    classes = np.array([[0, 1, 2, 3, 15, 20, 255]], dtype=np.uint8)
    colours = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (192, 128, 128), (0, 64, 128), (224, 224, 192)]
    assert coloured(classes)[0].tolist() == [list(colour) for colour in colours]


def test_bars_are_the_mean_iou_of_each_class_and_rows_of_a_confusion_sum_to_100():
    drawn = family(segmented_of, methods=("a", "b"), panels=1)
    axes = class_bars(drawn).axes[0]
    for method, bars in zip("ab", axes.containers, strict=True):
        expected = 100 * np.mean([one.arrays["iou"] for one in drawn if one.method == method], axis=0)
        assert [bar.get_height() for bar in bars] == pytest.approx(expected, nan_ok=True)
    summed = sum(one.arrays["confusion"] for one in drawn if one.method == "a")
    shown = np.ma.filled(confusions(drawn).axes[0].get_images()[0].get_array(), np.nan)
    assert shown == pytest.approx(row_shares(summed), nan_ok=True)
    assert np.nansum(shown, axis=1) == pytest.approx(np.where(np.arange(5) == 2, 0, 100))


def test_table_1_shows_means_and_intervals_tasks_first():
    drawn = family(accuracy_of)
    figure = table1(drawn)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["task 0", "task 1", "task 2", "task 3", "mean over tasks"]
    bars = [one for one in figure.axes[-1].containers if isinstance(one, ErrorbarContainer)]
    for method, bar in zip(METHODS, bars, strict=True):
        per_seed = [np.mean([one.results["accuracy"] for one in drawn if (one.method, one.seed) == (method, seed)]) for seed in (0, 10, 20)]
        expected = interval(per_seed)
        ends = bar.lines[2][0].get_segments()[0][:, 0]
        assert ends == pytest.approx([expected.mean - expected.half, expected.mean + expected.half])
    assert not [one for one in table1(family(accuracy_of, seeds=2)).axes[0].containers if isinstance(one, ErrorbarContainer)]


def test_table_1_is_bold_only_where_every_other_is_told_apart():
    def make(draws, m, p):
        return {"accuracy": 70 + (5 if m == 2 and p == 0 else 0) + 0.2 * float(draws.normal())}, {}

    table = accuracy_table(family(make, panels=2, seeds=4), "Table 1")
    assert table.columns == ("method", "task 0", "task 1", "mean over tasks")
    assert (2, 1) in table.bold
    assert not {cell for cell in table.bold if cell[1] == 2}
    assert accuracy_table(family(make, panels=1, seeds=1), "Table 1").bold == frozenset()


def test_slices_show_every_candidate_once_and_the_lost_ones_at_the_bottom():
    given = candidates()
    axes = slices(given, "kNN accuracy (%)").axes[0]
    lost = [one for one in given if one.objective is None]
    assert len([line for line in axes.lines if line.get_marker() == "|"]) == len(lost)
    shown = sorted(float(line.get_ydata()[0]) for line in axes.lines if line.get_marker() == "o" and len(line.get_ydata()) == 1)
    assert shown == pytest.approx(sorted(one.objective.mean for one in given if one.objective))
    assert axes.get_xscale() == "log"


@pytest.mark.parametrize("maximize", [True, False])
def test_nobody_lies_on_the_good_side_of_the_stairs(maximize):
    given = [replace(one, values=(one.values[0] if maximize else -one.values[0], one.values[1])) for one in placed(2) if one.feasible]
    axes = pareto(given, [Axis("a", maximize), Axis("b", True)]).axes[0]
    (stairs,) = [line for line in axes.lines if line.get_drawstyle().startswith("steps")]
    xs, ys = stairs.get_data()
    sign = 1 if maximize else -1
    for one in given:
        reached = [y for x, y in zip(xs, ys, strict=True) if sign * x >= sign * one.values[0]]
        assert not reached or one.values[1] <= max(reached)
    assert stairs.get_drawstyle() == ("steps-pre" if maximize else "steps-post")
    full = [line for line in axes.lines if line.get_marker() == "o" and to_hex(line.get_markerfacecolor()) != "#ffffff"]
    assert len(full) == sum(one.front for one in given)


@pytest.mark.parametrize("name", ["lower bound of pgd", "upper bound of flatness/*", "accuracy/* (%)"])
def test_an_objectives_axis_says_which_key_it_is(name):
    assert " ".join(Axis(name, True).label.split()) == f"{name} ↑"


def test_a_front_of_nobody_or_of_one_objective_is_refused():
    for given, axes in (([], OBJECTIVES), (placed(1), OBJECTIVES[:1])):
        with pytest.raises(UserError, match="must be at least 1 and 2"):
            pareto(given, axes)


@pytest.mark.parametrize(
    ("values", "choices", "log"),
    [
        ([1, 2, 4, 8, 16, 32], (), True),
        ([1, 2, 3, 4, 5, 6], (), False),
        ([0, 1, 2, 3, 4, 50], (), False),
        ([256, 64, 128], (64, 128, 256), False),
        (["sgd", "lars", "sgd"], ("lars", "sgd"), False),
        ([True, False], (False, True), False),
        ([None, 0.5, 0.1], (0.1, 0.5, None), False),
    ],
)
def test_a_knob_gets_a_log_axis_above_twenty_times_and_choices_stand_side_by_side(values, choices, log):
    assert (scale_of(values).choices, scale_of(values).log) == (choices, log)


def test_a_parallel_line_passes_its_knobs_and_ends_at_its_objective():
    given = candidates()
    axes = parallel_coordinates(given, "accuracy").axes[0]
    lines = [line for line in axes.lines if len(line.get_xdata()) == 6]
    assert len(lines) == len(given)
    means_ = np.array([one.objective.mean if one.objective else np.nan for one in given])
    assert [line.get_xdata()[-1] for line in lines] == pytest.approx(
        (means_ - np.nanmin(means_)) / np.ptp(means_[~np.isnan(means_)]), nan_ok=True
    )
    logs = np.log([one.knobs["temperature"] for one in given])
    assert [line.get_xdata()[0] for line in lines] == pytest.approx((logs - logs.min()) / np.ptp(logs))


def test_curves_average_the_epochs_that_all_seeds_have_and_mark_early_ends():
    runs = [curve("a", 0, 20), curve("a", 1, 12)]
    axes = curves(runs, "loss").axes[0]
    x, y = means(axes, COLOURS[0])
    assert x.tolist() == list(range(1, 13))
    assert y == pytest.approx(np.mean([runs[0].values[:12], runs[1].values], axis=0))
    assert [line.get_markevery() for line in axes.lines if line.get_marker() == "x"] == [[], [11]]


@pytest.mark.parametrize(
    "names",
    [
        ("a", "b"),
        LONG,
        [f"{i} is the number of a method with a name" for i in range(9)],
        [f"temperature {i} of the loss" for i in range(9)],
    ],
)
def test_long_names_are_cut_so_that_no_two_are_alike(names):
    cut = told_apart(names, 60)
    assert list(cut) == list(names)
    assert len(set(cut.values())) == len(names)
    assert all(width_of(one) <= 60 for one in cut.values())
    assert all(cut[name] == name for name in names if width_of(name) <= 60)


def test_pictures_of_many_methods_fit_a_page_and_name_each():
    accuracies, corrupted = (family(make, methods=LONG, seeds=1) for make in (accuracy_of, corrupted_of))
    for figure in (table1(accuracies), corruptions(corrupted), mode_connectivity([connected(methods=LONG)])):
        assert figure.get_figheight() * 25.4 < 240
    rows = [text.get_text() for text in table1(family(accuracy_of, methods=LONG)).axes[0].get_yticklabels()]
    assert len(set(rows)) == len(LONG)
    for methods, entries in ((LONG[:3], 6), (LONG, 14)):  # each method, and each two of them, or all twos as one
        named = [text.get_text() for text in mode_connectivity([connected(methods=methods)]).legends[0].get_texts()]
        assert len(set(named)) == len(named) == entries


def test_a_map_of_corruptions_is_drawn_only_of_methods_on_every_task():
    none, one = (corruptions(apart(methods)) for methods in (("a", "b"), ("a", "b", "c")))
    assert not [image for axes in none.axes for image in axes.get_images()]
    assert "no method has every task" in " ".join(none.legends[-1].get_title().get_text().split())
    (image,) = [image for axes in one.axes for image in axes.get_images()]
    assert np.isfinite(np.ma.filled(image.get_array(), np.nan)).all(axis=0).tolist() == [False, False, True]


def test_the_range_of_equal_eigenvalues_is_a_point():
    def make(draws, m, p):
        return {"hessian_lambda_max": 0.1}, {"eigenvalues": np.array([0.7, 0.3, 0.1])}

    (axes,) = curvature(family(make, methods=("a",), panels=1, seeds=3)).axes
    (bars,) = axes.containers
    assert [np.ptp(segment[:, 1]) for segment in bars.lines[2][0].get_segments()] == pytest.approx([0, 0, 0])


def test_seeds_of_different_length_are_refused_and_so_is_nothing():
    short_, long_ = family(progress_of, methods=("a",), panels=1, seeds=1) * 2
    long_ = Drawn("a", "", 1, {}, {"t": np.zeros(20)}, ANY)
    with pytest.raises(UserError, match=r"t of 'a' has shapes \[\(13,\), \(20,\)\].*must be one shape"):
        progress([short_, long_])
    with pytest.raises(UserError, match=r"drawn = \[\]"):
        progress([])


def test_files_are_whole_and_the_same_picture_is_the_same_file(tmp_path):
    first, second = (save(progress(family(progress_of, panels=1)), tmp_path / name, "p") for name in "ab")
    assert {kind: path.read_bytes()[:5] for kind, path in first.items()} == {"svg": b"<?xml", "pdf": b"%PDF-", "png": b"\x89PNG\r"}
    assert all(first[kind].read_bytes() == second[kind].read_bytes() for kind in first)


def test_figures_drawn_in_threads_are_those_drawn_alone(tmp_path):
    def draw(name):
        return save(progress(family(progress_of, methods=("a",), panels=1)), tmp_path / name, "p")["svg"].read_bytes()

    alone = draw("alone")
    with ThreadPoolExecutor(3) as pool:
        assert set(pool.map(draw, "abc")) == {alone}


FAMILIES = (
    *(suppressed_of, segmented_of, clustered_of, progress_of, robust_of, neighbours_of, known_of, changed_of, masked_of, distant_of),
    *(surface_of, half_measured_of, profile_of, spectrum_of, curvature_of, flat_of, accuracy_of, calibrated_of, masks_of, corrupted_of),
    *(ratio_of, alignment_of, uniformity_of),
)


@pytest.mark.parametrize(
    "drawn", [*(family(make, METHODS[:2], panels=2, seeds=2) for make in FAMILIES), [connected()], [tube_of()], [embedded()]]
)
def test_the_data_of_a_figure_hold_every_number_drawn(drawn):
    csv = io.StringIO(to_csv(data(drawn, "t")))
    read = pandas.read_csv(csv, dtype={"panel": str, "method": str}).fillna({"method": "", "panel": ""})
    for one in drawn:
        mine = read[(read.method == one.method) & (read.panel == one.panel) & (read.seed == one.seed)]
        (results,) = mine[mine.rows.isna()].to_dict("records")
        assert {name: results[name] for name in one.results} == pytest.approx(one.results)
        for name, array in one.arrays.items():
            if array.ndim == 4 or array.dtype == np.uint8:
                assert not [column for column in read.columns if column.startswith(name)], "an image is no table"
                continue
            columns = ["_".join(map(str, (name, *index))) for index in np.ndindex(array.shape[1:])]
            found = mine[mine.rows == len(array)].sort_values("row")[columns].to_numpy().reshape(array.shape)
            if array.dtype.kind in "US":
                assert found.tolist() == array.tolist()
            else:
                assert found.astype(float) == pytest.approx(array.astype(float), nan_ok=True)


def test_the_data_of_a_figure_say_whose_its_runs_are():
    assert data(family(progress_of, panels=1), "t").columns == ("method", "panel", "seed", "row", "rows", "t", "length_ratio")
    assert owners_in(embedded(seeds=1))[7:10] == [("simclr", 0), ("supcon", 0), ("supcon", 0)]
    assert owners_in(embedded(seeds=1))[-2:] == [("", None), ("", None)], "P* belongs to no run"
    for one in (connected(), tube_of()):
        assert owners_in(one) == [*one.of]


def owners_in(one):
    table = data([one], "i")
    method, seed = (table.columns.index(name) for name in ("of_method", "of_seed"))
    return [(row[method], row[seed]) for row in table.rows if row[method] is not None]


def test_outputs_of_every_sample_are_not_in_the_data_of_a_figure():
    one = Drawn("a", "", 0, {"t": 1.0}, {"t": np.arange(3.0), "log_probs": np.zeros((3, 1000, 10), dtype=np.float32)}, ANY)
    assert data([one], "t").columns == ("method", "panel", "seed", "row", "rows", "t")
