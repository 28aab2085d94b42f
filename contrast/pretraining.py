"""What counts as pretraining: the stages that train an encoder to be transferred, on one data set."""

from contrast.moco import MoCo
from contrast.pretrain import Pretrain
from contrast.vae import VAE

Pretraining = Pretrain | MoCo | VAE
