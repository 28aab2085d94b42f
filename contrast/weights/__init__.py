"""Checkpoints from outside: where a file is found, how it is read without code, and a key map a published layout, one a file."""

from contrast.weights.key_map import KeyMap as KeyMap
from contrast.weights.moco_keys import MoCoKeys as MoCoKeys
from contrast.weights.own_keys import OwnKeys as OwnKeys
from contrast.weights.py_contrast_keys import PyContrastKeys as PyContrastKeys
from contrast.weights.sim_clr_keys import SimCLRKeys as SimCLRKeys
from contrast.weights.sim_clr_v2_keys import SimCLRv2Keys as SimCLRv2Keys
from contrast.weights.sup_contrast_keys import SupContrastKeys as SupContrastKeys
from contrast.weights.timm_keys import TimmKeys as TimmKeys
from contrast.weights.torchvision_keys import TorchvisionKeys as TorchvisionKeys
