"""Curvature of the loss at a finished classifier: ends of the spectrum, trace, density, relative flatness (METRICS 2, PROTOCOL 5.5)."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import sqrt
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor

from analysis.checks import require_above, require_classes, require_classifier, require_logits, require_one_class, require_samples
from analysis.geometry.objective import Objective
from analysis.geometry.products import Operator, Product, fisher_empirical, fisher_mc, ggn, hessian
from analysis.geometry.spectrum import Ritz, lanczos, largest_known, smallest_known, trace
from analysis.measure import Drawn, Measure, Parts
from analysis.subset import stratified
from contrast.component import require
from contrast.data.dataset import Dataset
from contrast.model import Model
from contrast.random import generator
from contrast.stage import Metrics, Workspace

if TYPE_CHECKING:
    import matplotlib.figure

Task = Callable[[Objective, Product], dict[str, Tensor]]  # what a part leaves


@dataclass(frozen=True)
class Curvature(Measure):
    """Spectrum of a curvature matrix of the mean cross-entropy of `on`, all weights moving, in eval mode.

    `operator`: the Hessian, or one of the matrices without negative eigenvalues: `ggn`, `fisher_mc` (labels drawn from the network
    by `seed` and the sample's id) and `fisher_empirical` (the data's labels); every result carries its name. Results, with `ggn_` for
    `hessian_`: `hessian_lambda_max`, in nats per squared unit of weight, found when each of the `top` largest has a residual
    |H x - lambda x| below `tolerance` of itself; `hessian_residual`, the largest of these ratios, above `tolerance` only where
    `steps` products were too few; of a Hessian `hessian_lambda_min` and `hessian_lambda_min_residual`, sought until it is below
    `tolerance` of lambda_max; `hessian_lambda_5_over_max` where `top` is 5 or more, NaN of a flat loss. Of `trace_products` products,
    none for 0: `hessian_trace` and `hessian_trace_se` (Hutch++ from 30 on, else Hutchinson), `hessian_trace_per_weight`, and
    `hessian_relative_flatness`, the sum over the tensors of two or more axes of tr(H_l) |w_l|^2, which rescaling a ReLU network's
    layers leaves alone, with `_se`. `hessian_products` is what all took together.

    lambda_max and trace change when a layer is scaled and the next one back: compare them within one architecture. `samples`: a
    stratified subset, None is all; `ids` names it. Arrays: `eigenvalues` and `residuals` [top], falling; `nodes` and `weights`
    [probes, density_steps], the density by stochastic Lanczos quadrature; `ids` [samples]. Memory: up to `steps` float32 vectors of
    all weights.
    """

    on: Dataset
    operator: Operator = "hessian"
    top: int = 5
    samples: int | None = 512
    tolerance: float = 1e-3
    steps: int = 100
    trace_products: int = 60
    probes: int = 5
    density_steps: int = 50
    seed: int = 0

    version: ClassVar[int] = 2
    alone: ClassVar[bool] = True
    unit: ClassVar[tuple[str, ...]] = ("operator",)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_class(self, "on")
        require_classifier(self)
        known = ("hessian", "ggn", "fisher_mc", "fisher_empirical")
        require(self.operator in known, self, "operator", f"must be one of {', '.join(known)}", "Use 'hessian'.")
        require(self.top >= 1, self, "top", "must be at least 1", "Use 5.")
        require_samples(self)
        require_above(self, "tolerance")
        require(self.steps > self.top, self, "steps", "must be above `top`", "Use 100.")
        traced = self.trace_products == 0 or self.trace_products >= 2
        require(traced, self, "trace_products", "must be 2 or more, which have an error, or 0 for no trace", "Use 60.")
        require(self.probes >= 0, self, "probes", "must be 0, for no density, or more", "Use 5.")
        require(self.density_steps >= 2, self, "density_steps", "must be at least 2", "Use 50.")
        require(self.seed >= 0, self, "seed", "must be 0 or above", "Give a non-negative integer.")

    @property
    def length(self) -> int:
        """The ends, the trace where it is wanted, and every probe of the density."""
        return 1 + (self.trace_products > 0) + self.probes

    def measure(self, model: Model, workspace: Workspace) -> Parts:
        """What `operator` has, under its name."""
        done, state = workspace.restore()
        rows = stratified(workspace.images(self.on).labels, self.samples)
        ids = np.asarray(workspace.images(self.on).ids)[rows]
        objective = Objective(model.net, *workspace.pixels(self.on, rows))
        outputs = objective.logits()
        require_classes(self, outputs.shape[1], self.on)
        require_logits(self, outputs)
        product = self._product(objective, ids)
        tasks: list[Task] = [self._ends, *[self._trace] * (self.trace_products > 0)]
        tasks += [partial(self._probe, i) for i in range(self.probes)]
        for part, task in enumerate(tasks[done:], done + 1):
            state |= task(objective, product)
            workspace.save(part, {}, state)
            yield {}
        probes = [np.stack([state[f"{name}_{i}"].numpy() for i in range(self.probes)]) for name in ("nodes", "weights") if self.probes]
        density = dict(zip(("nodes", "weights"), probes, strict=False))
        workspace.keep_arrays(eigenvalues=state["largest"].numpy(), residuals=state["residuals"].numpy(), ids=ids, **density)
        return {f"{self.operator}_{name}": value for name, value in self._results(state, len(objective.at)).items()}

    def _product(self, objective: Objective, ids: np.ndarray) -> Product:
        made: dict[str, Callable[[], Product]] = {
            "hessian": lambda: hessian(objective),
            "ggn": lambda: ggn(objective),
            "fisher_mc": lambda: fisher_mc(objective, ids, self.seed),
            "fisher_empirical": lambda: fisher_empirical(objective),
        }
        return made[self.operator]()

    def _ends(self, objective: Objective, product: Product) -> dict[str, Tensor]:
        start = torch.randn(len(objective.at), generator=generator(self.seed, "curvature start"), dtype=torch.float64)
        found, count = Ritz(*[np.empty(0)] * 3), 0
        for found in lanczos(product, start.to(objective.at), self.steps, objective.dtype):
            count += 1
            low = self.operator != "hessian" or smallest_known(found, self.tolerance)
            if low and largest_known(found, self.top, self.tolerance):
                break
        largest, residuals = (np.full(self.top, np.nan) for _ in range(2))
        have = min(self.top, count)
        largest[:have], residuals[:have] = found.values[::-1][:have], found.residuals[::-1][:have]
        smallest = torch.tensor([found.values[0], found.residuals[0]], dtype=torch.float64)
        return {
            "largest": torch.from_numpy(largest),
            "residuals": torch.from_numpy(residuals),
            "smallest": smallest,
            "products": torch.tensor(count),
        }

    def _trace(self, objective: Objective, product: Product) -> dict[str, Tensor]:
        sizes = [shape.numel() for shape in objective.shapes.values()]
        found = trace(product, self._signs(objective, "trace"), self.trace_products, sizes, objective.dtype)
        parts = objective.named(objective.at).values()
        squares = np.array([part.square().sum().item() if part.dim() > 1 else 0.0 for part in parts])
        flatness = found.blocks @ squares
        error = flatness.std(ddof=1) / sqrt(len(flatness))
        return {"trace": torch.tensor([found.trace, found.error, flatness.mean(), error], dtype=torch.float64)}

    def _probe(self, number: int, objective: Objective, product: Product) -> dict[str, Tensor]:
        nodes, weights = (torch.zeros(self.density_steps, dtype=torch.float64) for _ in range(2))
        start = self._signs(objective, f"density probe {number}")()
        *_, last = lanczos(product, start, self.density_steps, objective.dtype)
        nodes[: len(last.values)], weights[: len(last.values)] = torch.from_numpy(last.values), torch.from_numpy(last.weights)
        return {f"nodes_{number}": nodes, f"weights_{number}": weights}

    def _signs(self, objective: Objective, purpose: str) -> Callable[[], Tensor]:
        draws = generator(self.seed, f"curvature {purpose}")
        return lambda: (2.0 * torch.randint(2, (len(objective.at),), generator=draws) - 1).to(objective.at)

    def _results(self, state: dict[str, Tensor], weights: int) -> Metrics:
        largest, residuals = state["largest"].tolist(), state["residuals"]
        ratios = residuals / state["largest"].abs().clamp(min=torch.finfo(torch.float64).tiny)
        results = {"lambda_max": largest[0], "residual": float(np.nanmax(ratios.numpy()))}
        if self.operator == "hessian":
            results |= dict(zip(("lambda_min", "lambda_min_residual"), state["smallest"].tolist(), strict=True))
        if self.top >= 5:
            results["lambda_5_over_max"] = largest[4] / largest[0] if largest[0] != 0 else math.nan
        if self.trace_products:
            total, error, flatness, spread = state["trace"].tolist()
            results |= {"trace": total, "trace_se": error, "trace_per_weight": total / weights}
            results |= {"relative_flatness": flatness, "relative_flatness_se": spread}
        steps = int(state["products"]) + self.trace_products
        return {**results, "products": float(steps + self.probes * self.density_steps)}

    @classmethod
    def figure(cls, drawn: Sequence[Drawn]) -> "matplotlib.figure.Figure":
        """Densities, a panel a method, and the largest eigenvalues."""
        from analysis.figures.curvature import spectrum

        return spectrum(drawn)
