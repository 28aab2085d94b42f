"""How a pretrained network is fine-tuned; one method a file."""

from contrast.finetuning.bss import BSS as BSS
from contrast.finetuning.core_tuning import CoreTuning as CoreTuning
from contrast.finetuning.feature_mixup import FeatureMixup as FeatureMixup
from contrast.finetuning.l2sp import L2SP as L2SP
from contrast.finetuning.method import TuningMethod as TuningMethod
from contrast.finetuning.rifle import RIFLE as RIFLE
from contrast.finetuning.scl import SCL as SCL
