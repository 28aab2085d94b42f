"""Optimisers and schedules, one a file."""

from contrast.optim.adam import Adam as Adam
from contrast.optim.cosine import Cosine as Cosine
from contrast.optim.cosine_steps import CosineSteps as CosineSteps
from contrast.optim.decay_steps import DecaySteps as DecaySteps
from contrast.optim.lars import LARS as LARS
from contrast.optim.linear_decay import LinearDecay as LinearDecay
from contrast.optim.optimizer import Optimizer as Optimizer
from contrast.optim.rmsprop import RMSProp as RMSProp
from contrast.optim.scaling import linear_scaling as linear_scaling
from contrast.optim.scaling import sqrt_scaling as sqrt_scaling
from contrast.optim.schedule import Schedule as Schedule
from contrast.optim.sgd import SGD as SGD
from contrast.optim.warmup import Warmup as Warmup
