"""Which filters of a pretrained network a task needs: by how much a probe's loss rises without each of them (DELTA, PROTOCOL 7.4)."""

from collections.abc import Callable, Iterator
from itertools import islice

import torch
from jaxtyping import Float
from torch import Tensor, nn

from contrast.finetuning.method import cross_entropy
from contrast.finetuning.stage_maps import last_convolution, without_filters

Seen = Callable[[], Iterator[tuple[Tensor, Tensor]]]  # inputs [N, C, H, W] and labels, as in a `Batch`

# As published with DELTA, and in the Transfer-Learning-Library: ten epochs, the rate a tenth after six, and ten batches.
EPOCHS, RATE, MOMENTUM, DECAY = 10, 0.01, 0.9, 0.1 ** (1 / 6)
MOST_BATCHES = 10
SOFTNESS = 5.0


def channel_attention(encoder: nn.Module, seen: Seen, classes: int) -> list[Float[Tensor, "c"]]:
    """The attention of the last convolution of every stage of a residual network, positive and of sum 1 each.

    `encoder` is in eval mode; `seen()` gives batches of its inputs and their labels. A linear probe is trained on its features of
    all of them, and the rise of the probe's loss is the mean over the first ten: a pass through the later stages for every filter
    and batch.
    """
    probe = linear_probe(encoder, seen, classes)
    rises = [filter_rises(encoder, probe, inputs, labels) for inputs, labels in islice(seen(), MOST_BATCHES)]
    return [softened(torch.stack(layer).mean(0)) for layer in zip(*rises, strict=True)]


def softened(rises: Float[Tensor, "c"]) -> Float[Tensor, "c"]:
    """softmax(z / 5), z the rises by their mean and standard deviation; all equal where the rises are."""
    z = (rises - rises.mean()) / rises.std(correction=0).clamp_min(torch.finfo(rises.dtype).tiny)
    return (z / SOFTNESS).softmax(0)


def linear_probe(encoder: nn.Module, seen: Seen, classes: int) -> nn.Linear:
    """A classifier of the features, trained from zero by SGD with Nesterov's momentum."""
    with torch.no_grad():
        batches = [(encoder(inputs), labels) for inputs, labels in seen()]
    probe = nn.Linear(batches[0][0].shape[1], classes, device="meta").to_empty(device=batches[0][0].device).to(batches[0][0].dtype)
    nn.init.zeros_(probe.weight)
    nn.init.zeros_(probe.bias)
    optimizer = torch.optim.SGD(probe.parameters(), lr=RATE, momentum=MOMENTUM, nesterov=True)
    for epoch in range(EPOCHS):
        for group in optimizer.param_groups:
            group["lr"] = RATE * DECAY**epoch
        for features, labels in batches:
            optimizer.zero_grad()
            cross_entropy(probe(features), labels).backward()
            optimizer.step()
    return probe


@torch.no_grad()
def filter_rises(encoder: nn.Module, probe: nn.Linear, inputs: Float[Tensor, "n c h w"], labels: Tensor) -> list[Tensor]:
    """Of every stage the rise of the loss [C] where one filter of its last convolution is zeroed at a time.

    Behind that convolution its block works channel by channel, up to the block's end: all filters are zeroed at once, and a channel
    of what comes out is put in the place of the same channel of what the whole block gives. Only later stages run for each.
    """
    parts = list(encoder.named_children())
    rises, x = [], inputs
    for i, (name, part) in enumerate(parts):
        if not name.startswith("stage"):
            x = part(x)
            continue
        *before, block = part.children()
        x = nn.Sequential(*before)(x)
        with without_filters(last_convolution(part)):
            blank = block(x)
        x = block(x)
        behind = nn.Sequential(*(later for _, later in parts[i + 1 :]), probe)
        losses = []
        for channel in range(x.shape[1]):
            lesser = x.clone()
            lesser[:, channel] = blank[:, channel]
            losses.append(cross_entropy(behind(lesser), labels))
        rises.append(torch.stack(losses) - cross_entropy(behind(x), labels))
    return rises
