"""The augmentations of PROTOCOL 1.5 by their names there; each is a value that a user may also write out.

`simclr_cifar` is `SimCLRViews()`, `ce_cifar` is `CropFlip()`, `randbits_mnist` is `CropViews()`, `none` is `Plain()`, and
`s1` is `simclr_cifar_tf()`. Brightness multiplies everywhere, as in torchvision and SimCLR v2.
"""

from contrast.augmentations.augment import Augment
from contrast.augmentations.auto_augment import AutoAugment
from contrast.augmentations.color_jitter import ColorJitter
from contrast.augmentations.cutout import Cutout
from contrast.augmentations.gaussian_blur import GaussianBlur
from contrast.augmentations.grayscale import Grayscale
from contrast.augmentations.horizontal_flip import HorizontalFlip
from contrast.augmentations.rand_augment import RandAugment
from contrast.augmentations.random_crop import RandomCrop
from contrast.augmentations.random_resized_crop import RandomResizedCrop
from contrast.augmentations.random_rotation import RandomRotation
from contrast.augmentations.resize import Resize
from contrast.augmentations.sparse_warp import SparseWarp

_CROP = RandomResizedCrop(bicubic=True)


def _jitter(strength: float) -> ColorJitter:
    return ColorJitter((0.8 * strength, 0.8 * strength, 0.8 * strength, 0.2 * strength), 0.8)


def simclr_cifar_tf(views: int = 2, strength: float = 0.5) -> Augment:
    """SimCLR's own on CIFAR: crops of 8 to 100 %, flip, jitter, grey; no blur."""
    return Augment((_CROP, HorizontalFlip(), _jitter(strength), Grayscale()), views)


def simclr_imagenet(views: int = 2, strength: float = 1.0) -> Augment:
    """SimCLR's own on ImageNet: as on CIFAR, with stronger jitter and blur."""
    return Augment((_CROP, HorizontalFlip(), _jitter(strength), Grayscale(), GaussianBlur()), views)


def moco_v1(views: int = 2) -> Augment:
    """MoCo v1: crops of 20 to 100 %, grey, jitter of every view, flip."""
    return Augment((RandomResizedCrop((0.2, 1.0)), Grayscale(), ColorJitter((0.4, 0.4, 0.4, 0.4), 1.0), HorizontalFlip()), views)


def moco_v2(views: int = 2) -> Augment:
    """MoCo v2: crops of 20 to 100 %, jitter, grey, blur, flip."""
    return Augment((RandomResizedCrop((0.2, 1.0)), ColorJitter(), Grayscale(), GaussianBlur(), HorizontalFlip()), views)


def moco_cifar(views: int = 2) -> Augment:
    """MoCo's demonstration on CIFAR: crops of 8 to 100 %, flip, jitter, grey."""
    return Augment((RandomResizedCrop(), HorizontalFlip(), ColorJitter(), Grayscale()), views)


def core256() -> Augment:
    """Core-tuning's one view of 256 pixels: resized to 272, turned by up to 15 degrees, cropped, flipped.

    It is for images of 256 pixels, as the network is tested on them: `Resized(of=CIFAR10(), side=256)`, or a data set's own `side`.
    """
    return Augment((Resize(272), RandomRotation(15.0), RandomCrop(256, 0), HorizontalFlip()), 1)


def autoaugment(views: int = 1) -> Augment:
    """Crop, flip and AutoAugment's policy v0."""
    return Augment((_CROP, HorizontalFlip(), AutoAugment()), views)


def randaugment(views: int = 1, layers: int = 2, magnitude: float = 10.0) -> Augment:
    """Crop, flip and RandAugment."""
    return Augment((_CROP, HorizontalFlip(), RandAugment(layers, magnitude)), views)


def simaugment(views: int = 2, strength: float = 1.0, warp: float = 0.0) -> Augment:
    """SimAugment: crop, flip, jitter, grey, a warp with probability `warp`, blur; it has no rotations (PROTOCOL 1.5)."""
    return Augment((_CROP, HorizontalFlip(), _jitter(strength), Grayscale(), *_warp(warp), GaussianBlur()), views)


def stacked_randaugment(views: int = 2, strength: float = 1.0, warp: float = 0.0) -> Augment:
    """SimAugment with RandAugment(2, 10) between jitter and grey (the order of the code; PROTOCOL 0, decision 19)."""
    colour = (_jitter(strength), RandAugment(2, 10.0), Grayscale())
    return Augment((_CROP, HorizontalFlip(), *colour, *_warp(warp), GaussianBlur()), views)


def crop4_flip(side: int = 32, cutout: int = 0) -> Augment:
    """One view for supervised training: a crop out of a margin of 4 pixels, flip, and a square of `cutout` pixels cut out, 0 for none."""
    return Augment((RandomCrop(side, 4), HorizontalFlip(), *((Cutout(cutout),) if cutout else ())), 1)


def _warp(p: float) -> tuple[SparseWarp, ...]:
    return (SparseWarp(p),) if p else ()
