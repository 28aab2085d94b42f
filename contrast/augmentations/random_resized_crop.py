"""Random resized crops as an operation of `Augment`, bilinear or bicubic."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from contrast.augmentations.bicubic import bicubic_crop
from contrast.augmentations.draws import Draws
from contrast.augmentations.resized_crop import random_boxes, resized_crop
from contrast.augmentations.transform import Transform
from contrast.component import require


@dataclass(frozen=True)
class RandomResizedCrop(Transform):
    """A box of `scale[0]` to `scale[1]` of the area, its aspect ratio 3/4 to 4/3, scaled back to the size of the image."""

    scale: tuple[float, float] = (0.08, 1.0)
    bicubic: bool = False

    def __post_init__(self) -> None:
        good = 0 < self.scale[0] <= self.scale[1] <= 1
        require(good, self, "scale", "must be (smallest, largest) share of the area, within (0, 1]", "Use (0.08, 1.0).")

    def __call__(self, x: Float[Tensor, "n c h w"], draws: Draws) -> Float[Tensor, "n c h w"]:
        """See `Transform`."""
        boxes = random_boxes((x.shape[2], x.shape[3]), self.scale, draws)
        return bicubic_crop(x, boxes) if self.bicubic else resized_crop(x, boxes)
