"""Binary cross-entropy, the loss of classifiers of images that may show several classes."""

from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from contrast.data.dataset import IGNORED


def binary_cross_entropy(logits: Float[Tensor, "n c"], targets: UInt8[Tensor, "n c"]) -> Float[Tensor, ""]:
    """The mean over images and classes of -log sigmoid(logit) where `targets` is 1 and -log(1 - sigmoid(logit)) where it is 0.

    Classes that an image leaves open (`IGNORED`) do not count; a batch that leaves all open has a loss of 0.
    """
    judged = (targets != IGNORED).to(logits.dtype)
    total = binary_cross_entropy_with_logits(logits, (targets == 1).to(logits.dtype), judged, reduction="sum")
    return total / judged.sum().clamp(min=1)
