"""A queue of keys for every class, and contrast of a sample with all of them where those of its class count as positives."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import one_hot


class ClassQueues(nn.Module):
    """`keys`: the last K rows [C, K, d] of every class; the next of class c takes the place `position` [C], that of its oldest one."""

    keys: Tensor
    position: Tensor

    def __init__(self, keys: Float[Tensor, "c k d"]) -> None:
        super().__init__()
        self.register_buffer("keys", keys)
        self.register_buffer("position", torch.zeros(len(keys), dtype=torch.int64))

    @torch.no_grad()
    def enqueue(self, keys: Float[Tensor, "n d"], labels: Int[Tensor, "n"]) -> None:
        """Put `keys`, in their order, in the place of the oldest of their class."""
        classes, length = self.keys.shape[:2]
        if length == 0:
            return
        seen = one_hot(labels, classes).cumsum(0)
        rank, count = seen.gather(1, labels[:, None])[:, 0] - 1, seen[-1]
        stays = rank >= count[labels] - length  # of more than K of a class the last K, each in a place of its own
        places = (self.position[labels] + rank) % length
        self.keys[labels[stays], places[stays]] = keys[stays].to(self.keys.dtype)
        self.position.copy_((self.position + count) % length)


def soft_contrast(
    own: Float[Tensor, "n"], queued: Float[Tensor, "n c k"], labels: Int[Tensor, "n"], temperature: float
) -> Float[Tensor, ""]:
    """The mean divergence of softmax(similarities / temperature) from the target: 1 / (K + 1) on the own key and each of its class.

    `own` is the similarity to the own key, `queued` those to the keys of every class. 0 where all positives are equally near
    and everything else is infinitely far: the cross-entropy is less by log(K + 1), the entropy of the target.
    """
    positives = queued.shape[2] + 1
    logits = torch.cat([own[:, None], queued.flatten(1)], 1) / temperature
    wanted = own + queued[torch.arange(len(labels), device=labels.device), labels].sum(1)
    return (logits.logsumexp(1) - wanted / (positives * temperature) - math.log(positives)).mean()
