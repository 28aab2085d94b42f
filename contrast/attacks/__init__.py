"""White-box attacks as plain tensor functions, which measures of `analysis` share, and adversarial training by them."""

from contrast.attacks.adversarial_training import AdversarialTraining as AdversarialTraining
from contrast.attacks.attack import Attack as Attack
from contrast.attacks.ball import Norm as Norm
from contrast.attacks.ball import project as project
from contrast.attacks.ball import start_noise as start_noise
from contrast.attacks.fgsm import fgsm as fgsm
from contrast.attacks.fgsm import fgsm_curve as fgsm_curve
from contrast.attacks.gradient import Loss as Loss
from contrast.attacks.maximized import maximized as maximized
from contrast.attacks.pgd import BATCH as BATCH
from contrast.attacks.pgd import pgd as pgd
from contrast.attacks.pgd import robust as robust
