"""Logistic regression on a frozen encoder: the linear classifier at its optimum, without epochs, rates or seeds (PROTOCOL 4.2)."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from contrast.component import require
from contrast.data.dataset import Dataset
from contrast.finetuning.on_features import fit
from contrast.finetuning.record import HeadRecord
from contrast.model import Artefact, Model, Net
from contrast.pretrained import require_channels
from contrast.probe import HALF_DECADES, fit_probe, require_every_class, require_images, require_strengths
from contrast.stage import Metrics, Stage, Workspace, extract


@dataclass(frozen=True)
class LogisticRegression(Stage):
    """The multinomial logistic regression on the features of `of` for the task `data`, in the task's normalisation.

    It minimises mean cross-entropy + l2/2 |W|^2, the bias being free, on features that are centred and divided by their root mean
    square deviation; the classifier that is left undoes both. The strength is the one of `l2` (above 0) that is best on a stratified
    held-out tenth of `data`, and the classifier is fitted with it on all of `data`. `normalization`: None is the task's, "encoder" the
    one that the encoder was trained in, as in `Finetune`.

    Results: `loss` and `accuracy` (percent) on `data`, the chosen `l2`, and `unconverged`, how many of the fits missed the optimum
    (0 unless something is wrong). Arrays, of this one classifier: `log_probs` float32 [1, N, C] in id order, `labels` and `ids` [N],
    `head_weight` [1, C, d], `head_bias` [1, C]; so progress and InPCA show it as one point.
    """

    of: Stage
    data: Dataset
    l2: tuple[float, ...] = HALF_DECADES
    normalization: Literal["encoder"] | None = None

    def __post_init__(self) -> None:
        require(isinstance(self.of, Stage), self, "of", "must be the stage that trained the encoder", "Pass a Pretrain or an Untrained.")
        single = not self.data.multi_label
        require(single, self, "data", "must show one class an image", "Use a data set whose images show one class each.")
        require_strengths(self, self.l2)

    def check(self, size: Callable[[Dataset], int]) -> None:
        """The task must have data, with as many channels as the encoder knows."""
        require_channels(self)
        require_images(self, size(self.data), self.data.num_classes, len(self.l2))

    def run(self, workspace: Workspace) -> Generator[Metrics, None, Metrics]:
        """Fit once; no epochs."""
        images = workspace.images(self.data)
        labels = torch.from_numpy(np.array(images.labels)).to(workspace.device)
        self.check(lambda data: len(labels))
        require_every_class(self, labels, self.data.num_classes)
        features = extract(self._net(workspace, nn.Identity()), images.pixels, workspace.device)
        probe = fit_probe(features.to(workspace.device), labels, self.l2)
        head = _linear({"weight": probe.weight.float(), "bias": probe.bias.float()}).to(workspace.device)
        record = HeadRecord(head, 0)
        record.put(0, head)
        workspace.keep_weights(head.state_dict())
        workspace.keep_arrays(**record.arrays(features), labels=images.labels, ids=images.ids)
        with torch.inference_mode():
            fitted = fit(head(features.to(workspace.device)), labels)
        return {**fitted, "l2": probe.l2, "unconverged": float(probe.unconverged)}
        yield {}

    def model(self, workspace: Workspace) -> Model:
        """The encoder under the fitted classifier: `net(x)` gives logits of the task's classes."""
        artefact = workspace.of(self)
        return Model(self, artefact, partial(self._fitted, workspace, artefact))

    def _fitted(self, workspace: Workspace, artefact: Artefact) -> Net:
        return self._net(workspace, _linear(artefact.weights())).to(memory_format=torch.channels_last)

    def _net(self, workspace: Workspace, top: nn.Module) -> Net:
        """The frozen encoder, normalised."""
        source = workspace.model(self.of).net
        mean, std = source.constants if self.normalization == "encoder" else (self.data.mean, self.data.std)
        return Net(mean, std, source.encoder, top).to(workspace.device).eval()


def _linear(weights: dict[str, Tensor]) -> nn.Linear:
    classes, width = weights["weight"].shape
    layer = nn.Linear(width, classes, device="meta").to_empty(device="cpu")
    layer.load_state_dict(weights)
    return layer
