"""NT-Xent, the loss of SimCLR: find the other view of the same image among all other views of the batch."""

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from jaxtyping import Float, Int
from torch import Tensor

from contrast.component import UserError
from contrast.losses.loss import Loss, none_where_false
from contrast.losses.loss_scale import LossScale, scale_factor
from contrast.losses.similarity import log_partition, unit_views, with_self
from contrast.losses.temperature import require_temperature


@dataclass(frozen=True)
class NTXent(Loss):
    """mean_i [logsumexp_{k != i} s_ik - s_i,pos(i)], s_ij = cosine(z_i, z_j) / temperature (PROTOCOL 2.1).

    With V > 2 views the positives are the V - 1 other views and their s is averaged, which is `SupCon` when every image is
    its own class. `temperature` from 1e-4 to 1e6. With `include_self` k runs over i too, as some texts print it; at temperatures of 0.1 and
    below that one term takes most of the sum. `loss_scale`: see `scale_factor`. Labels are not read. Raises `UserError` for
    fewer than 2 views.
    """

    temperature: float
    _: KW_ONLY
    include_self: bool | None = None
    loss_scale: LossScale | None = None
    contrastive: ClassVar[bool] = True
    fewest_views: ClassVar[int] = 2

    def __post_init__(self) -> None:
        require_temperature(self)
        none_where_false(self, "include_self")

    def __call__(self, output: Float[Tensor, "n v d"], labels: Int[Tensor, "n"] | None) -> Float[Tensor, ""]:
        """The loss of N images in V views each."""
        views = output.shape[1]
        if views < 2:
            raise UserError(f"output has {views} view an image: NTXent compares 2 or more. Use SimCLRViews() or CropViews().")
        z = unit_views(output)
        # Over the pairs of an image: sum_{v != w} z_v . z_w = |sum_v z_v|^2 - sum_v |z_v|^2.
        agreement = (z.sum(1).square().sum(-1) - z.square().sum((1, 2))) / (views * (views - 1))
        partition = log_partition(z.flatten(0, 1), self.temperature)
        if self.include_self:
            partition = with_self(partition, z.flatten(0, 1), self.temperature)
        loss = partition.mean() - agreement.mean() / self.temperature
        return loss if self.loss_scale is None else loss * scale_factor(self.loss_scale, self.temperature)
