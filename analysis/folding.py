"""Batch normalisation folded away: a network for evaluation only, equal to the original up to rounding, and faster.

In eval mode y = gamma (conv(x) - mean) / sqrt(var + eps) + beta is linear in the convolution's weight, so a factor per
filter and a new bias replace it. Pairs are found by running one batch, not by reading the architecture: a pair is a
convolution or dense layer whose output a normalisation reads, that no other computation reads, and that the normalisation
maps by exactly this formula. What does not fit (normalisation before a convolution, or after a sum) stays as it is.
"""

import copy
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


def fold(net: nn.Module, probe: Float[Tensor, "n c h w"]) -> tuple[nn.Module, dict[str, Tensor]]:
    """A copy of `net` in eval mode without foldable normalisations, and the factor [filters] of each folded weight by name.

    A direction of the original weight times its factor is the same direction of the folded one. `probe` is any batch that
    the network takes. `net` itself is left as it was.
    """
    folded = copy.deepcopy(net).eval()
    names = {module: name for name, module in folded.named_modules()}
    factors = {}
    for layer, norm in _pairs(folded, probe):
        scale, shift = _affine(norm)
        bias = torch.zeros_like(shift) if layer.bias is None else layer.bias
        layer.bias = nn.Parameter(bias.detach() * scale + shift, requires_grad=False)
        layer.weight = nn.Parameter(layer.weight.detach() * _columns(scale, layer.weight), requires_grad=False)
        parent, _, child = names[norm].rpartition(".")
        setattr(folded.get_submodule(parent), child, nn.Identity())
        factors[f"{names[layer]}.weight"] = scale
    return folded, factors


def foldable(net: nn.Module, probe: Float[Tensor, "n c h w"]) -> dict[str, str]:
    """The names of the layers of `net`, in eval mode, that `fold` changes, each with that of the normalisation that goes into it."""
    names = {module: name for name, module in net.named_modules()}
    return {names[layer]: names[norm] for layer, norm in _pairs(net, probe)}


def _pairs(net: nn.Module, probe: Tensor) -> list[tuple[Any, _BatchNorm]]:
    """(layer, normalisation) that can be folded, by watching one forward pass."""
    layers: dict[int, nn.Module] = {}
    found: list[tuple[nn.Module, _BatchNorm, Tensor, Tensor]] = []
    kept_alive: list[Tensor] = []  # so that no two tensors of the pass share an id
    calls: Counter[nn.Module] = Counter()

    def made(module: nn.Module, _: object, output: Tensor) -> None:
        calls[module] += 1
        kept_alive.append(output)
        layers[id(output)] = module

    def normalised(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        calls[module] += 1
        layer = layers.get(id(inputs[0]))
        if layer is not None and isinstance(module, _BatchNorm):
            found.append((layer, module, inputs[0], output.clone()))  # a ReLU may overwrite it

    hooks = [module.register_forward_hook(made) for module in net.modules() if isinstance(module, _LAYERS)]
    hooks += [module.register_forward_hook(normalised) for module in net.modules() if isinstance(module, _BatchNorm)]
    with torch.no_grad(), _Readers(kept_alive) as readers:
        net(probe)
    for hook in hooks:
        hook.remove()
    owners = Counter(parameter for module in net.modules() for parameter in module._parameters.values() if parameter is not None)
    return [
        (layer, norm)
        for layer, norm, x, y in found
        if readers.count[id(x)] == 1
        and calls[layer] == calls[norm] == 1
        and all(owners[parameter] == 1 for parameter in layer.parameters())
        and _maps_affinely(layer, norm, x, y)
    ]


class _Readers(TorchFunctionMode):
    """Counts, for every tensor, the computations that read it: the calls that give a tensor back."""

    def __init__(self, kept_alive: list[Tensor]) -> None:
        super().__init__()
        self.count: Counter[int] = Counter()
        self.kept_alive = kept_alive

    def __torch_function__(self, func: Callable[..., Any], types: Iterable[type], args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        """Let the call through, and count its arguments."""
        result = func(*args, **(kwargs or {}))
        if any(isinstance(leaf, Tensor) for leaf in tree_leaves(result)):
            read = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
            self.kept_alive += read
            self.count.update(id(leaf) for leaf in read)
        return result


def _maps_affinely(layer: nn.Module, norm: _BatchNorm, x: Tensor, y: Tensor) -> bool:
    """Whether y is x under the formula above, channel by channel; the channels of a dense layer are the last axis."""
    if norm.running_mean is None or (isinstance(layer, nn.Linear) and x.dim() != 2):
        return False
    scale, shift = _affine(norm)
    shape = (1, -1, *[1] * (x.dim() - 2))
    return torch.allclose(y, x * scale.view(shape) + shift.view(shape), rtol=1e-4, atol=1e-5)


def _affine(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    """Factor and shift [channels] of a normalisation in eval mode."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = (norm.running_var + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.detach()
    shift = -norm.running_mean * scale
    return scale, shift if norm.bias is None else shift + norm.bias.detach()


def _columns(scale: Tensor, weight: Tensor) -> Tensor:
    return scale.view(-1, *[1] * (weight.dim() - 1))
