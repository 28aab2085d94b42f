"""Feature spread: the standard deviation of features on the unit sphere, relative to that of all directions alike.

Chen and He, 2021, "Exploring simple siamese representation learning", figure 2: a collapsed encoder gives one output
whatever the image, so 0; a healthy one gives near 1.
"""

import math

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize


def feature_std(features: Float[Tensor, "n d"]) -> float:
    """sqrt(d) times the standard deviation (ddof 0) of each column of the L2-normalised rows, averaged over columns; 0 to 1.

    1 is that of the uniform distribution on the sphere, whose columns have 1/sqrt(d). NaN where a feature is not finite.
    """
    unit = normalize(features.double(), dim=1)
    return float(unit.std(dim=0, correction=0).mean()) * math.sqrt(features.shape[1])
