"""Accuracy under attack."""

from analysis.robustness.fgsm import FGSM as FGSM
from analysis.robustness.pgd import PGD as PGD
