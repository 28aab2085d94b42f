"""Convolutions whose gradients are differentiated fast: what a product with the Hessian spends its time on.

torch differentiates the gradient of a weight by a convolution with kernels as large as the images. The same numbers come
from the three operations that every training uses, since output, gradient of the input and gradient of the weight are all
bilinear; on a CPU a product with the Hessian of a small residual network takes 0.7 of the time.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_aten = torch.ops.aten


def swap_convolutions(net: nn.Module) -> None:
    """Put these convolutions in the place of the plain `Conv2d` of `net`, which computes the same and is to be used for products alone.

    A gradient with `create_graph=True` can be differentiated, but its own value at these weights is not computed: it is zero.
    """
    for name, layer in list(net.named_modules()):
        if type(layer) is nn.Conv2d and layer.padding_mode == "zeros" and isinstance(layer.padding, tuple):
            parent, _, child = name.rpartition(".")
            setattr(net.get_submodule(parent), child, _Convolution(layer))


class _Convolution(nn.Module):
    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        self.geometry = (list(layer.stride), list(layer.padding), list(layer.dilation), layer.groups)

    def forward(self, x: Tensor) -> Tensor:
        return _Convolve.apply(x, self.weight, self.bias, self.geometry)  # type: ignore[no-any-return]


Geometry = tuple[list[int], list[int], list[int], int]


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry) -> Tensor:
    stride, padding, dilation, groups = geometry
    out: Tensor = _aten.convolution(x, weight, bias, stride, padding, dilation, False, [0, 0], groups)
    return out


def _gradients(output: Tensor, x: Tensor, weight: Tensor, geometry: Geometry, wanted: list[bool]) -> tuple[Tensor | None, Tensor | None]:
    """Gradients at the input and at the weight, of the gradient at the output."""
    stride, padding, dilation, groups = geometry
    found = _aten.convolution_backward(output, x, weight, None, stride, padding, dilation, False, [0, 0], groups, [*wanted, False])
    return found[0], found[1]


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry) -> Tensor:  # noqa: ANN401 (torch's)
        ctx.save_for_backward(x, weight)
        ctx.geometry, ctx.biased = geometry, bias is not None
        return _convolve(x, weight, bias, geometry)

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401 (torch's)
        (x, weight), (output,) = ctx.saved_tensors, outputs
        if torch.is_grad_enabled():  # a graph is being made
            of_x, of_weight = _Gradients.apply(output, x, weight, ctx.geometry, ctx.needs_input_grad[0])
        else:
            of_x, of_weight = _gradients(output, x, weight, ctx.geometry, [ctx.needs_input_grad[0], True])
        return of_x, of_weight, output.sum((0, 2, 3)) if ctx.biased else None, None


class _Gradients(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 (torch's)
        output: Tensor,
        x: Tensor,
        weight: Tensor,
        geometry: Geometry,
        of_input: bool,
    ) -> tuple[Tensor | None, Tensor]:
        ctx.save_for_backward(output, x, weight)
        ctx.set_materialize_grads(False)
        ctx.geometry, ctx.of_input = geometry, of_input
        of_x = _gradients(output, x, weight, geometry, [True, False])[0] if of_input else None
        return of_x, weight.new_zeros(()).expand(weight.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *along: Tensor | None) -> tuple[Tensor | None, ...]:  # noqa: ANN401 (torch's)
        """`along`: a direction of the gradient at the input, and one of that at the weight."""
        (output, x, weight), (of_x, of_weight) = ctx.saved_tensors, along
        at_output: Tensor | None = None
        at_x = at_weight = None
        if of_weight is not None:
            at_output = _convolve(x, of_weight, None, ctx.geometry)
            if ctx.of_input:
                at_x = _gradients(output, x, of_weight, ctx.geometry, [True, False])[0]
        if of_x is not None:
            moved = _convolve(of_x, weight, None, ctx.geometry)
            at_output = moved if at_output is None else at_output.add_(moved)
            at_weight = _gradients(output, of_x, weight, ctx.geometry, [False, True])[1]
        return at_output, at_x, at_weight, None, None
