"""Fine-tuning: a linear classifier on a frozen encoder, its whole trajectory kept.

The protocol has no augmentation here (PROTOCOL 4.1), so features are computed once and every epoch is a few small matrix
products. The classifier of every epoch and its log-probabilities on the task's data are kept: progress, InPCA and any
later measure of the trajectory read them without training again.
"""

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from contrast import random
from contrast.component import require
from contrast.data.dataset import Dataset
from contrast.heads.classifier import Classifier
from contrast.loop import load_training_state, set_rate, training_state
from contrast.model import Artefact, Model, Net
from contrast.optim.cosine import Cosine
from contrast.optim.optimizer import Optimizer
from contrast.optim.schedule import Schedule
from contrast.optim.sgd import SGD
from contrast.stage import Diverged, Metrics, Stage, Workspace, extract


@dataclass(frozen=True)
class Finetune(Stage):
    """Train a linear classifier on the features of `of` for the task `data` (PROTOCOL 4.1), in the task's normalisation.

    Results: `loss` and `accuracy` (percent) on `data` after the last epoch. Arrays: `log_probs` float32 [E+1, N, C] of
    epochs 0..E in id order, `labels` and `ids` [N], `head_weight` [E+1, C, d], `head_bias` [E+1, C].
    """

    of: Stage
    data: Dataset
    seed: int
    epochs: int = 30
    frozen: bool = True
    batch_size: int = 256
    optimizer: Optimizer = SGD(lr=0.1, weight_decay=0.0)
    schedule: Schedule = Cosine(rate=0.2)

    def __post_init__(self) -> None:
        require(isinstance(self.of, Stage), self, "of", "must be the stage that trained the encoder", "Pass a Pretrain or an Untrained.")
        require(self.epochs >= 1, self, "epochs", "must be at least 1", "Use 30, as the protocol does.")
        least = self.schedule.fewest_epochs
        require(self.epochs >= least, self, "schedule", f"takes {least} epochs or more, not {self.epochs}", "Train longer or shorten it.")
        require(self.seed >= 0, self, "seed", "must be 0 or above", "Give a non-negative integer.")
        require(self.batch_size >= 1, self, "batch_size", "must be at least 1", "Use 256, as the protocol does.")
        require(self.frozen is True, self, "frozen", "only a frozen encoder can be fine-tuned so far", "Use frozen=True.")

    @property
    def length(self) -> int:
        """Epochs."""
        return self.epochs

    def check(self, size: Callable[[Dataset], int]) -> None:
        """The task must have data."""
        require(size(self.data) >= self.data.num_classes, self, "data", "has fewer images than classes", "Use more images a class.")

    def run(self, workspace: Workspace) -> Generator[Metrics, None, Metrics]:
        """Yield loss, accuracy and learning rate of each epoch on `data`."""
        images = workspace.images(self.data)
        net = self._net(workspace)
        features = extract(net, images.pixels, workspace.device).to(workspace.device)
        labels = torch.from_numpy(np.array(images.labels)).to(workspace.device)
        classifier = net.top
        optimizer = self.optimizer.build(classifier)
        done, state = workspace.restore()
        heads = _Heads.start(classifier, self.epochs)
        if done:
            load_training_state(classifier, optimizer, state)
            heads = _Heads(state["heads.weight"], state["heads.bias"])
        for epoch in range(done + 1, self.epochs + 1):
            order = random.permutation(self.seed, "finetune order", images.ids, epoch=epoch)
            batches = torch.from_numpy(order).split(self.batch_size)
            for i, rows in enumerate(batches):
                lr = self.schedule.within(self.optimizer.lr, epoch, self.epochs, i, len(batches))
                set_rate(optimizer, lr)
                loss = functional.cross_entropy(classifier(features[rows]), labels[rows])
                _refuse_nonfinite(loss.item(), epoch)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
            heads.put(epoch, classifier)
            metrics = _fit(classifier, features, labels) | {"lr": lr}
            _refuse_nonfinite(metrics["loss"], epoch)
            workspace.save(epoch, metrics, training_state(classifier, optimizer) | {"heads.weight": heads.weight, "heads.bias": heads.bias})
            yield metrics
        workspace.keep_weights(classifier.state_dict())
        log_probs = heads.log_probs(features.cpu())
        workspace.keep_arrays(
            log_probs=log_probs, labels=images.labels, ids=images.ids, head_weight=heads.weight.numpy(), head_bias=heads.bias.numpy()
        )
        return _fit(classifier, features, labels)

    def model(self, workspace: Workspace) -> Model:
        """The encoder with the trained classifier: `net(x)` gives logits of the task's classes."""
        artefact = workspace.of(self)
        return Model(self, artefact, partial(self._trained, workspace, artefact))

    def _trained(self, workspace: Workspace, artefact: Artefact) -> Net:
        net = self._net(workspace)
        net.top.load_state_dict(artefact.weights())
        return net.to(workspace.device)

    def _net(self, workspace: Workspace) -> Net:
        """The frozen encoder in the task's normalisation under a freshly initialised classifier."""
        encoder = workspace.model(self.of).net.encoder
        width = encoder(torch.zeros(2, *self.data.shape, device=workspace.device)).shape[1]
        top = Classifier().build(width, self.data.num_classes, random.generator(self.seed, "classifier"))
        net = Net(self.data.mean, self.data.std, encoder, top.to(workspace.device)).to(workspace.device)
        net.eval()
        return net


@dataclass
class _Heads:
    """The classifier of every epoch: `weight` [E+1, C, d], `bias` [E+1, C], on the CPU."""

    weight: Tensor
    bias: Tensor

    @staticmethod
    def start(classifier: nn.Module, epochs: int) -> "_Heads":
        state = classifier.state_dict()
        heads = _Heads(torch.zeros(epochs + 1, *state["weight"].shape), torch.zeros(epochs + 1, *state["bias"].shape))
        heads.put(0, classifier)
        return heads

    def put(self, epoch: int, classifier: nn.Module) -> None:
        state = classifier.state_dict()
        self.weight[epoch].copy_(state["weight"])
        self.bias[epoch].copy_(state["bias"])

    def log_probs(self, features: Tensor) -> np.ndarray:
        """Float32 [E+1, N, C]."""
        with torch.inference_mode():
            epochs = [functional.log_softmax(functional.linear(features, w, b), -1) for w, b in zip(self.weight, self.bias, strict=True)]
        stacked: np.ndarray = torch.stack(epochs).numpy()
        return stacked


def _refuse_nonfinite(loss: float, epoch: int) -> None:
    if not math.isfinite(loss):
        raise Diverged(f"the fine-tuning loss became {loss} in epoch {epoch}")


def _fit(classifier: nn.Module, features: Tensor, labels: Tensor) -> Metrics:
    with torch.inference_mode():
        logits = classifier(features)
        accuracy = (logits.argmax(-1) == labels).float().mean().item() * 100
        return {"loss": functional.cross_entropy(logits, labels).item(), "accuracy": accuracy}
