"""Everything that is measured, on the encoders and the tasks of "To contrast or not to contrast"; it draws nothing."""

from dataclasses import dataclass, replace

from optuna.trial import BaseTrial

from analysis import (
    FGSM,
    KNN,
    PGD,
    Accuracy,
    AdversarialExamples,
    Alignment,
    Calibration,
    Confusion,
    Corruptions,
    Curvature,
    Entropies,
    FewLabels,
    GradientMasking,
    HeadLandscape,
    IntrinsicDimension,
    KNNCurve,
    Landscape,
    LiDAR,
    LinearProbe,
    LocalClusters,
    MeanPerClass,
    MinimalNorm,
    NeuralCollapse,
    PretrainingProgress,
    Progress,
    RadiusFlatness,
    RankMe,
    Sharpness,
    Spectrum,
    TopK,
    TransformProbe,
    Uniformity,
)
from analysis.representation.changes import Change
from contrast import Dataset, Finetune, Pretrain, SimCLRViews, Stage
from contrast.data.dataset import Phase
from search_spaces.contrast_or_not import ContrastOrNot


@dataclass(frozen=True)
class EveryMeasure:
    """What is trained is that of `trained`, and so is shared with its sweep.

    The dear measures read `samples` images, corruptions have `severities`, `fractions` of the labels are tried.
    With `snapshots` the pretrainings keep as many, and are measured along them; then they are stages of their own.
    """

    trained: ContrastOrNot
    samples: int
    severities: tuple[int, ...] = (1, 3, 5)
    fractions: tuple[float, ...] = (0.01, 0.1, 1.0)
    first_rank: int = 10
    directions: int = 8
    snapshots: int | None = None

    def __call__(self, trial: BaseTrial, seed: int, phase: Phase, method: str) -> dict[str, Stage]:
        """The measures of the encoder, and those of its classifier on every task."""
        net = self.trained.pretrained(method, seed)
        along: dict[str, Stage] = {}
        if self.snapshots is not None and isinstance(net, Pretrain):
            net = replace(net, snapshots=self.snapshots)
            along = {"snapshots": PretrainingProgress(net, on=self.trained.data.held_out(phase))}
        out = along | self.of_features(net, phase)
        for i, task in enumerate(self.trained.tasks):
            tuned = Finetune(net, data=task.fit(phase), seed=seed, epochs=self.trained.finetune_epochs)
            measures = self.of_classifier(tuned, task.fit(phase), task.held_out(phase))
            out |= {f"{family}/{i}": measure for family, measure in measures.items()}
        return out

    def of_features(self, net: Stage, phase: Phase) -> dict[str, Stage]:
        """What is measured of an encoder without training anything on it but probes."""
        fit, held_out = self.trained.data.fit(phase), self.trained.data.held_out(phase)
        changes: tuple[Change, ...] = ("rotation", "noise", "sobel", *(("color",) if held_out.shape[0] == 3 else ()))
        return {
            "knn": KNN(net, on=held_out, bank=fit),
            "neighbours": KNNCurve(net, on=held_out, bank=fit),
            "linear": LinearProbe(net, data=fit, on=held_out),
            "labels": FewLabels(net, data=fit, on=held_out, fractions=self.fractions),
            "alignment": Alignment(net, on=held_out, views=SimCLRViews()),
            "uniformity": Uniformity(net, on=held_out),
            "rankme": RankMe(net, on=held_out),
            "spectrum": Spectrum(net, on=held_out, first=self.first_rank),
            "lidar": LiDAR(net, on=held_out, views=SimCLRViews(10)),
            "dimension": IntrinsicDimension(net, on=held_out),
            "collapse": NeuralCollapse(net, on=held_out),
            "entropies": Entropies(net, on=held_out),
            "clusters": LocalClusters(net, on=held_out, ks=(2, 4), layers=(1, 2), images=16),
            **{f"change/{change}": TransformProbe(net, data=fit, on=held_out, change=change) for change in changes},
        }

    def of_classifier(self, tuned: Stage, fit: Dataset, held_out: Dataset) -> dict[str, Stage]:
        """What is measured of a classifier on its task; what differentiates twice, or often, reads a quarter of the samples."""
        few = self.samples // 4
        return {
            "accuracy": Accuracy(tuned, on=held_out),
            "top_2": TopK(tuned, on=held_out, k=2),
            "per_class": MeanPerClass(tuned, on=held_out),
            "confusion": Confusion(tuned, on=held_out),
            "calibration": Calibration(tuned, on=held_out),
            "progress": Progress(tuned),
            "landscape": Landscape(tuned, on=fit, points=self.trained.points, samples=self.samples),
            "head": HeadLandscape(tuned, on=fit, samples=self.samples),
            "radius": RadiusFlatness(tuned, on=fit, samples=self.samples, directions=self.directions),
            "curvature": Curvature(tuned, on=fit, samples=few, tolerance=1e-2, trace_products=12, probes=1, density_steps=20),
            "sharpness": Sharpness(tuned, on=fit, samples=few, directions=self.directions),
            "fgsm": FGSM(tuned, on=held_out, samples=self.samples),
            "pgd": PGD(tuned, on=held_out, samples=self.samples),
            "examples": AdversarialExamples(tuned, on=held_out),
            "nearest": MinimalNorm(tuned, on=held_out, samples=few),
            "masking": GradientMasking(tuned, on=held_out, samples=few),
            "corruptions": Corruptions(tuned, on=held_out, severities=self.severities, samples=self.samples),
        }
