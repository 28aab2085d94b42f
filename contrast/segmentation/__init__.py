"""What fine-tuning for semantic segmentation is made of: dilated encoders, DeepLab's head, crops of images with their masks."""

from contrast.segmentation.scale_crop import ScaleCrop as ScaleCrop
