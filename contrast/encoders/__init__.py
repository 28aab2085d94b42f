"""Encoders, one a file: images in, features out."""

from contrast.encoders.encoder import Encoder as Encoder
from contrast.encoders.resnet18 import ResNet18 as ResNet18
from contrast.encoders.small_resnet import SmallResNet as SmallResNet
