"""White-box attacks as plain tensor functions; adversarial training and the measures of `analysis` share them."""

from contrast.attacks.fgsm import fgsm as fgsm
from contrast.attacks.fgsm import fgsm_curve as fgsm_curve
from contrast.attacks.pgd import pgd as pgd
from contrast.attacks.pgd import robust as robust
from contrast.attacks.pgd import start_noise as start_noise
