"""Cross-entropy, the loss of the supervised baseline: every view is classified by itself."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from contrast.losses.loss import Labels, Loss, full_precision, labels_for


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """The mean over images and views of -log softmax(logits)[label]; every view of an image has its label (PROTOCOL 2.3).

    An image that has shares of all classes pays the mean of that over its classes, weighted by the shares.
    """

    contrastive: ClassVar[bool] = False
    takes_shares: ClassVar[bool] = True

    def __call__(self, output: Float[Tensor, "n v c"], labels: Labels) -> Float[Tensor, ""]:
        """The loss of logits [N, V, C] and labels in 0..C-1, or shares [N, C] that sum to 1."""
        classes = labels_for(self, labels).repeat_interleave(output.shape[1], 0)
        return functional.cross_entropy(full_precision(output).flatten(0, 1), classes)

    def each(self, output: Float[Tensor, "n v c"], labels: Labels) -> Float[Tensor, "n v"]:
        """What every view pays; the loss is its mean."""
        classes = labels_for(self, labels).repeat_interleave(output.shape[1], 0)
        paid = functional.cross_entropy(full_precision(output).flatten(0, 1), classes, reduction="none")
        return paid.view(output.shape[:2])
