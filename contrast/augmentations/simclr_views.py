"""The views of SimCLR and SupCon on small images: crop, flip, colour jitter, greyscale (PROTOCOL 1.5, `simclr_cifar`)."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from contrast.augmentations.color_jitter import color_jitter, random_jitter
from contrast.augmentations.draws import Draws
from contrast.augmentations.grayscale import grayscale_, random_grays
from contrast.augmentations.horizontal_flip import horizontal_flip, random_flips
from contrast.augmentations.resized_crop import random_boxes, resized_crop
from contrast.augmentations.views import Views
from contrast.component import UserError, require


@dataclass(frozen=True)
class SimCLRViews(Views):
    """`views` views: a crop of 20 to 100 % of the area; a flip, p 1/2; jitter (.4, .4, .4, .1), p 0.8; grey, p 0.2; no blur.

    Works on images of three channels or one. On one channel brightness and contrast apply, while saturation, hue and
    greyscale change nothing, as in torchvision.
    """

    views: int = 2

    def __post_init__(self) -> None:
        require(self.views >= 1, self, "views", "must be at least 1", "Use 2 for a contrastive loss.")

    @property
    def count(self) -> int:
        """As many views as asked for."""
        return self.views

    def view(self, pixels: Float[Tensor, "n c h w"], draws: Draws) -> Float[Tensor, "n c h w"]:
        """One view of each image. Raises `UserError` for images of neither one nor three channels."""
        _, channels, height, width = pixels.shape
        if channels not in (1, 3):
            raise UserError(f"SimCLRViews needs images of 1 or 3 channels, not {channels}. Use CropViews for others.")
        boxes = random_boxes((height, width), (0.2, 1.0), draws)
        x = resized_crop(pixels, horizontal_flip(boxes, random_flips(0.5, draws)))
        x = color_jitter(x, random_jitter((0.4, 0.4, 0.4, 0.1), 0.8, draws))
        return grayscale_(x, random_grays(0.2, draws))
