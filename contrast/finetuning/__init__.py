"""How a pretrained network is fine-tuned; one method a file.

The baselines of PROTOCOL 7.4 and where they are: CE is `Finetune(method=None)`; supervised-init CE the same of another start,
`Finetune(Pretrain(loss=CrossEntropy(), head=Classifier(), views=CropFlip(), ...), ...)`; L2SP, M&M (`MixAndMatch`), DELTA with and
without attention, BSS, RIFLE, SCL and Bi-tuning (`BiTuning`) are methods, as is Core-tuning with its ablations.
"""

from contrast.finetuning.bi_tuning import BiTuning as BiTuning
from contrast.finetuning.bss import BSS as BSS
from contrast.finetuning.core_tuning import CoreTuning as CoreTuning
from contrast.finetuning.delta import DELTA as DELTA
from contrast.finetuning.feature_mixup import FeatureMixup as FeatureMixup
from contrast.finetuning.l2sp import L2SP as L2SP
from contrast.finetuning.method import TuningMethod as TuningMethod
from contrast.finetuning.mix_and_match import MixAndMatch as MixAndMatch
from contrast.finetuning.rifle import RIFLE as RIFLE
from contrast.finetuning.scl import SCL as SCL
