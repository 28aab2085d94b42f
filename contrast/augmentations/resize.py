"""Every image scaled to one size."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from contrast.augmentations.draws import Draws
from contrast.augmentations.transform import Transform
from contrast.component import MOST_PIXELS, require_count


@dataclass(frozen=True)
class Resize(Transform):
    """Scaled so that the shorter side has `side` pixels (1 to 4096), bicubic, smoothed where it shrinks, as torchvision's and PIL's are."""

    side: int

    def __post_init__(self) -> None:
        require_count(self, "side", MOST_PIXELS, "Use 272 before a crop of 256.")

    def __call__(self, x: Float[Tensor, "n c h w"], draws: Draws) -> Float[Tensor, "n c i j"]:
        """See `Transform`; nothing is drawn."""
        height, width = x.shape[-2:]
        short = min(height, width)
        size = self.side * height // short, self.side * width // short
        return interpolate(x, size, mode="bicubic", antialias=True, align_corners=False).clamp_(0, 1)
