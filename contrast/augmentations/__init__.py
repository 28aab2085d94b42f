"""Augmentations: components that turn a batch of images into the views that a loss compares."""

from contrast.augmentations.crop_flip import CropFlip as CropFlip
from contrast.augmentations.crop_views import CropViews as CropViews
from contrast.augmentations.plain import Plain as Plain
from contrast.augmentations.simclr_views import SimCLRViews as SimCLRViews
from contrast.augmentations.views import Views as Views
