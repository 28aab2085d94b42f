"""Accuracy under AutoAttack's standard version, which other people's tables report (Croce and Hein, 2020; METRICS 4)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor

from analysis.checks import require_above, require_classifier, require_one_class, require_pixel_range, require_samples
from analysis.measure import Drawn, Measure, Parts
from analysis.robustness.parts import PARTS, in_parts
from analysis.robustness.subject import Subject, subject
from contrast.attacks import BATCH
from contrast.attacks.pgd import correct
from contrast.component import UserError, require
from contrast.data.dataset import Dataset
from contrast.model import Model
from contrast.stage import Workspace

if TYPE_CHECKING:
    import matplotlib.figure

Part = Literal["apgd-ce", "apgd-t", "fab-t", "square"]
STANDARD: tuple[Part, ...] = ("apgd-ce", "apgd-t", "fab-t", "square")
_NAMES: dict[str, Literal["Linf", "L2"]] = {"linf": "Linf", "l2": "L2"}
_TARGETS, _FEWEST = 9, 4  # classes that targeted attacks try, and those that their loss compares


@dataclass(frozen=True)
class AutoAttack(Measure):
    """Share of samples, 0 to 100, that stand against every one of `attacks` at `eps`, by the package pyautoattack (extra `autoattack`).

    The standard version is APGD on cross-entropy, targeted APGD and FAB towards the nine likeliest other classes, 100 `steps` each, and
    Square with 5000 `queries`; a sample that one attack breaks is not given to the next. `norm` "linf" or "l2", in pixels in [0, 1];
    four classes or more. `samples`: a stratified subset, None is all. Hours of a large network.
    Results: `accuracy`, and `clean` without attack. Array: `standing` [N].
    """

    on: Dataset
    eps: float = 8 / 255
    norm: Literal["linf", "l2"] = "linf"
    attacks: tuple[Part, ...] = STANDARD
    samples: int | None = 1000
    steps: int = 100
    queries: int = 5000
    seed: int = 0

    alone: ClassVar[bool] = True
    unit: ClassVar[tuple[str, ...]] = ("norm",)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_class(self, "on")
        require_classifier(self)
        require_above(self, "eps")
        require(self.norm in ("linf", "l2"), self, "norm", "must be 'linf' or 'l2'", "Use 'linf'.")
        if self.norm == "linf":
            require_pixel_range(self, "eps", self.eps)
        known = 0 < len(self.attacks) == len(set(self.attacks)) and set(self.attacks) <= set(STANDARD)
        require(known, self, "attacks", f"must be some of {STANDARD}, each once", "Leave it out for the standard version.")
        rule = f"has {self.on.num_classes} classes, and the losses of AutoAttack compare {_FEWEST}"
        require(self.on.num_classes >= _FEWEST, self, "on", rule, "Use PGD(restarts=5, loss='margin').")
        require_samples(self)
        for field in ("steps", "queries"):
            require(getattr(self, field) >= 1, self, field, "must be at least 1", "Leave it out for the standard version.")
        require(self.seed >= 0, self, "seed", "must be 0 or above", "Give a non-negative integer.")

    def check(self, size: Callable[[Dataset], int]) -> None:
        """The package must be there, too."""
        super().check(size)
        if find_spec("pyautoattack") is None:
            raise UserError("AutoAttack: the package pyautoattack is not installed. Install it: pip install 'contrast-sweeps[autoattack]'")

    @property
    def length(self) -> int:
        """A part is an eighth of the samples."""
        return PARTS

    def measure(self, model: Model, workspace: Workspace) -> Parts:
        """`accuracy` and `clean`."""
        attacked = subject(self, model, self.on, self.samples, workspace)
        found = yield from in_parts(workspace, len(attacked.x), lambda rows: self._standing(attacked, rows))
        workspace.keep_arrays(standing=found["standing"].numpy())
        return {"accuracy": 100 * float(found["standing"].double().mean()), "clean": 100 * float(found["clean"].double().mean())}

    def _standing(self, attacked: Subject, rows: Tensor) -> dict[str, Tensor]:
        """Examples are judged by our own network, whatever the package says of them."""
        from pyautoattack.autoattack import AutoAttack as Peer

        net = attacked.net
        x, y = (part[rows.to(part.device)].contiguous() for part in (attacked.x, attacked.y))
        peer = Peer(
            *(net,),
            attacks=list(self.attacks),
            device=x.device,
            eps=self.eps,
            norm=_NAMES[self.norm],
            seed=self.seed,
            version="custom",
        )
        peer.verbose = False
        for part in (peer.apgd, peer.apgd_targeted, peer.fab):
            part.n_restarts, part.n_iter = 1, self.steps
        peer.apgd_targeted.n_target_classes = peer.fab.n_target_classes = min(_TARGETS, self.on.num_classes - 1)
        peer.square.n_queries = self.queries
        with torch.random.fork_rng():  # it seeds the process's generator
            examples, _ = peer.run_standard_evaluation(x, y, batch_size=BATCH)
        clean = correct(net, x, y)
        return {"standing": clean & correct(net, examples, y), "clean": clean}

    @classmethod
    def figure(cls, drawn: Sequence[Drawn]) -> "matplotlib.figure.Figure":
        """Accuracy of each method on each task, with intervals."""
        from analysis.figures.table1 import table1

        return table1(drawn)
