"""The mean cross-entropy of a classifier on fixed samples as a function of one vector: all its weights.

The network is evaluated with its normalisation folded away, since that is where a product with the Hessian would spend
a third of its time, but it is differentiated at its own weights w, normalisation's included. With f the folded weights as
a function of w, and J its Jacobian, the gradient is J' g and a Hessian J' H J + sum_j g_j d2 f_j, g and H being those of
the folded network: f is cheap, and the samples meet the folded network alone.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy

from analysis.folding import fold, foldable
from contrast.model import Net

_BATCH = {"cpu": 32}
_BATCH_ELSEWHERE = 512

Named = dict[str, Tensor]


class Objective:
    """`net` in eval mode on pixels [N, C, H, W] in [0, 1] and labels [N]; `batch` samples at a time, which changes rounding alone.

    `at` [P] is the network's place, float64; whatever is taken at another place is given it. The network computes in the
    precision of its weights, in which vectors are rounded; sums over samples and over weights are float64.
    """

    def __init__(self, net: Net, pixels: Float[Tensor, "n c h w"], labels: Int64[Tensor, " n"], batch: int | None = None) -> None:
        probe = pixels[:2].to(net.mean.dtype)
        folded, _ = fold(net, probe)
        assert isinstance(folded, Net)
        self.net = Inside(folded).to(memory_format=torch.channels_last)
        self.chart = _chart(net, foldable(net.eval(), probe))
        self.shapes = {name: weight.shape for name, weight in net.named_parameters()}
        self.at = torch.cat([weight.detach().reshape(-1).double() for weight in net.parameters()])
        self.size = batch or _BATCH.get(pixels.device.type, _BATCH_ELSEWHERE)
        x = ((pixels - net.mean) / net.std).to(net.mean.dtype)
        self.x, self.labels = x.contiguous(memory_format=torch.channels_last), labels

    @property
    def dtype(self) -> torch.dtype:
        """The precision in which the network computes."""
        return self.x.dtype

    @property
    def samples(self) -> int:
        """N."""
        return len(self.x)

    def batches(self, labels: Int64[Tensor, " n"]) -> Iterator[tuple[Tensor, Tensor]]:
        """Normalised images and their labels, a micro-batch at a time."""
        yield from zip(self.x.split(self.size), labels.split(self.size), strict=True)

    def named(self, vector: Float[Tensor, " p"]) -> Named:
        """A vector of all weights as tensors by name."""
        parts = vector.split([shape.numel() for shape in self.shapes.values()])
        return {name: part.view(shape) for part, (name, shape) in zip(parts, self.shapes.items(), strict=True)}

    def folded(self, at: Float64[Tensor, " p"]) -> Named:
        """The folded weights at `at`, as the network takes them, to be differentiated."""
        return {name: self._laid_out(weight, name).requires_grad_() for name, weight in self.chart(self.named(at)).items()}

    def push(self, vector: Float64[Tensor, " p"]) -> Named:
        """J v: how the folded weights change along a vector."""
        place = self._free(self.at)
        folded = self.chart(place)
        slopes = [torch.zeros_like(weight, requires_grad=True) for weight in folded.values()]
        back = self._back(folded, place, slopes, create_graph=True)  # J' u is linear in u, and its derivative along v is J v
        moved = torch.autograd.grad(back, slopes, list(self.named(vector).values()))
        return {name: self._laid_out(part, name) for name, part in zip(folded, moved, strict=True)}

    def pull(self, slope: Named, at: Float64[Tensor, " p"] | None = None) -> Float64[Tensor, " p"]:
        """J' u of a float64 u by name."""
        place = self._free(self.at if at is None else at)
        folded = self.chart(place)
        return _flat(self._back(folded, place, [slope[name] for name in folded]))

    def bent(self, slope: Named, vector: Float64[Tensor, " p"]) -> Float64[Tensor, " p"]:
        """sum_j g_j (d2 f_j) v: what the Hessian has of the folding itself, where the gradient g of the folded weights is not zero."""
        place = self._free(self.at)
        folded = self.chart(place)
        back = self._back(folded, place, [slope[name] for name in folded], create_graph=True)
        pairs = [pair for pair in zip(back, self.named(vector).values(), strict=True) if pair[0].requires_grad]
        if not pairs:
            return torch.zeros_like(vector)
        bending, along = zip(*pairs, strict=True)
        return _flat(torch.autograd.grad(bending, list(place.values()), along, materialize_grads=True))

    @torch.no_grad()
    def logits(self, at: Float64[Tensor, " p"] | None = None) -> Float64[Tensor, "n c"]:
        """Of all samples, here or elsewhere."""
        place = self.folded(self.at if at is None else at)
        with exact(self.at.device):
            return torch.cat([call(self.net, place, x) for x, _ in self.batches(self.labels)])

    def loss(self, at: Float64[Tensor, " p"] | None = None) -> float:
        """Mean cross-entropy in nats."""
        return cross_entropy(self.logits(at), self.labels).item()

    def gradient(self, at: Float64[Tensor, " p"] | None = None) -> Float64[Tensor, " p"]:
        """Of the loss."""
        return self.pull(self.slope(at), at)

    def slope(self, at: Float64[Tensor, " p"] | None = None) -> Named:
        """The gradient g at the folded weights, float64."""
        place = self.folded(self.at if at is None else at)
        weights, total = tuple(place.values()), zeros(place)
        with exact(self.at.device):
            for x, y in self.batches(self.labels):
                loss = cross_entropy(call(self.net, place, x), y, reduction="sum")
                add(total, torch.autograd.grad(loss, weights, materialize_grads=True))
        return {name: part / self.samples for name, part in total.items()}

    def _laid_out(self, weight: Tensor, name: str) -> Tensor:
        return torch.empty_like(self.net.get_parameter(name), requires_grad=False).copy_(weight)

    def _free(self, at: Tensor) -> Named:
        return {name: part.detach().requires_grad_() for name, part in self.named(at).items()}

    def _back(self, folded: Named, place: Named, slopes: Sequence[Tensor], create_graph: bool = False) -> tuple[Tensor, ...]:
        weights = list(place.values())
        return torch.autograd.grad(list(folded.values()), weights, slopes, create_graph=create_graph, materialize_grads=True)


def _flat(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat([part.reshape(-1).double() for part in parts])


def zeros(place: Named) -> Named:
    """Float64 zeros by name."""
    return {name: torch.zeros_like(weight, dtype=torch.float64, requires_grad=False) for name, weight in place.items()}


def add(total: Named, parts: Sequence[Tensor]) -> None:
    """Add parts, in the order of the names, to float64 sums."""
    for kept, part in zip(total.values(), parts, strict=True):
        kept += part


class Inside(nn.Module):
    """What is behind the normalisation of the pixels: encoder and top."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.encoder, self.top = net.encoder, net.top

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float64[Tensor, "n k"]:
        """Logits of normalised images; in float64, so that the loss of a certain sample is not rounded to 0."""
        out: Tensor = self.top(self.encoder(x))
        return out.double()


def call(net: Inside, place: Named, x: Tensor) -> Tensor:
    """Its logits at weights `place`."""
    out: Tensor = functional_call(net, place, (x,))
    return out


@contextmanager
def exact(device: torch.device) -> Iterator[None]:
    """Without autocast, TF32 and kernels of attention that cannot be differentiated twice, whatever the process has switched on."""
    plain = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
    with torch.autocast(device.type, enabled=False), plain, sdpa_kernel(SDPBackend.MATH):
        yield


def _chart(net: nn.Module, pairs: dict[str, str]) -> Callable[[Named], Named]:
    """f: the weights of the folded network of those of the original, both by name."""
    norms = {name: net.get_submodule(name) for name in pairs.values()}

    def folded(place: Named) -> Named:
        out = dict(place)
        for layer, norm in pairs.items():
            mean, var = (getattr(norms[norm], f"running_{what}").double() for what in ("mean", "var"))
            scale = (var + norms[norm].eps).rsqrt()
            if f"{norm}.weight" in place:
                scale = scale * out.pop(f"{norm}.weight")
            shift = -mean * scale + (out.pop(f"{norm}.bias") if f"{norm}.bias" in place else 0.0)
            weight = place[f"{layer}.weight"]
            out[f"{layer}.bias"] = shift + (place[f"{layer}.bias"] * scale if f"{layer}.bias" in place else 0.0)
            out[f"{layer}.weight"] = weight * scale.view(-1, *[1] * (weight.dim() - 1))
        return out

    return folded
