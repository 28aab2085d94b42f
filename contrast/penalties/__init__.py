"""Gradient penalties, one a file: terms that training adds to the loss."""

from contrast.penalties.contrastive_input_gradient import ContrastiveInputGradient as ContrastiveInputGradient
from contrast.penalties.gradient_penalty import GradientPenalty as GradientPenalty
from contrast.penalties.input_difference import InputDifference as InputDifference
from contrast.penalties.input_gradient import InputGradient as InputGradient
from contrast.penalties.layerwise_input_gradient import LayerwiseInputGradient as LayerwiseInputGradient
from contrast.penalties.penalty import Penalty as Penalty
