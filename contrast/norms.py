"""Batch normalisations of a network, replaced by others that take their statistics over other parts of the batch."""

from collections.abc import Callable

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from contrast.component import UserError


def replace_norms(net: nn.Module, make: Callable[[_BatchNorm], _BatchNorm], cannot: str) -> None:
    """Put what `make` gives of each batch normalisation of `net` in its place; weights and names stay.

    Raises `UserError` for a batch normalisation with a forward pass of its own, which `cannot` says the consequence of.
    """
    made: dict[nn.Module, nn.Module] = {}
    for name, module in list(net.named_modules(remove_duplicate=False)):
        if not isinstance(module, _BatchNorm):
            continue
        if type(module).forward is not _BatchNorm.forward:
            raise UserError(f"{name}: {type(module).__name__} does more than batch normalisation and {cannot}")
        if module not in made:
            made[module] = make(module)
        parent, _, attribute = name.rpartition(".")
        setattr(net.get_submodule(parent), attribute, made[module])


def take_over(new: _BatchNorm, old: _BatchNorm) -> None:
    """Give `new` the weights, the running statistics and the mode of `old`."""
    new.weight, new.bias = old.weight, old.bias
    new.running_mean, new.running_var, new.num_batches_tracked = old.running_mean, old.running_var, old.num_batches_tracked
    new.training = old.training
