"""Accuracy under attack and under corruption."""

from analysis.robustness.adversarial_examples import AdversarialExamples as AdversarialExamples
from analysis.robustness.autoattack import AutoAttack as AutoAttack
from analysis.robustness.corruptions import Corruptions as Corruptions
from analysis.robustness.fgsm import FGSM as FGSM
from analysis.robustness.gradient_masking import GradientMasking as GradientMasking
from analysis.robustness.mce import MCE as MCE
from analysis.robustness.minimal_norm import MinimalNorm as MinimalNorm
from analysis.robustness.pgd import PGD as PGD
