"""Encoders, one a file: images in, features out."""

from contrast.encoders.conv_n import ConvN as ConvN
from contrast.encoders.encoder import Encoder as Encoder
from contrast.encoders.resnet18 import ResNet18 as ResNet18
from contrast.encoders.resnet34 import ResNet34 as ResNet34
from contrast.encoders.resnet50 import ResNet50 as ResNet50
from contrast.encoders.resnet101 import ResNet101 as ResNet101
from contrast.encoders.resnet200 import ResNet200 as ResNet200
from contrast.encoders.small_resnet import SmallResNet as SmallResNet
from contrast.encoders.timm_encoder import TimmEncoder as TimmEncoder
