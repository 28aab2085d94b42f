"""Batch normalisations of a network: replaced by others, or kept for a while from changing or from using the batch."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from contrast.component import UserError


def replace_norms(net: nn.Module, make: Callable[[_BatchNorm], _BatchNorm], cannot: str) -> None:
    """Put what `make` gives of each batch normalisation of `net` in its place; weights and names stay.

    Raises `UserError` for a batch normalisation with a forward pass of its own, which `cannot` says the consequence of.
    """
    odd = does_more(net)
    if odd is not None:
        raise UserError(f"{odd} and {cannot}")
    made: dict[nn.Module, nn.Module] = {}
    for name, module in batch_norms(net):
        if module not in made:
            made[module] = make(module)
        parent, _, attribute = name.rpartition(".")
        setattr(net.get_submodule(parent), attribute, made[module])


def batch_norms(net: nn.Module) -> list[tuple[str, _BatchNorm]]:
    """Those of `net` with their names; one that stands in several places comes under each name."""
    return [(name, module) for name, module in net.named_modules(remove_duplicate=False) if isinstance(module, _BatchNorm)]


def does_more(net: nn.Module) -> str | None:
    """What says of the first batch normalisation of `net` with a forward pass of its own that it has one; None where there is none."""
    for name, module in batch_norms(net):
        if type(module).forward is not _BatchNorm.forward:
            return f"{name}: {type(module).__name__} does more than batch normalisation"
    return None


def take_over(new: _BatchNorm, old: _BatchNorm) -> None:
    """Give `new` the weights, the running statistics and the mode of `old`."""
    new.weight, new.bias = old.weight, old.bias
    new.running_mean, new.running_var, new.num_batches_tracked = old.running_mean, old.running_var, old.num_batches_tracked
    new.training = old.training


@contextmanager
def without_memory(net: nn.Module) -> Iterator[None]:
    """Batch normalisations in training take the statistics of what they are given, and do not add it to their running ones."""
    norms = [module for module in net.modules() if isinstance(module, _BatchNorm) and module.training and module.track_running_stats]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


@contextmanager
def frozen_norms(net: nn.Module) -> Iterator[None]:
    """Batch normalisations in training use their running statistics in place of those of what they are given, and keep them."""
    norms = [module for module in net.modules() if isinstance(module, _BatchNorm) and module.training]
    for norm in norms:
        norm.eval()
    try:
        yield
    finally:
        for norm in norms:
            norm.train()
