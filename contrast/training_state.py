"""The tensors that a training must remember to go on as if it had never stopped.

Randomness comes from counters (`contrast/random.py`), so the whole state of a training is its weights, its buffers and what
its optimiser remembers of each weight; no generator has to be saved.
"""

import torch
from torch import Tensor, nn


def training_state(net: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Weights and buffers by name, and every tensor that the optimiser keeps of a parameter: `momentum.NAME`, `optimizer.KEY.NAME`."""
    state = {f"net.{name}": tensor for name, tensor in net.state_dict().items()}
    for name, parameter in net.named_parameters():
        for key, tensor in optimizer.state.get(parameter, {}).items():
            if tensor is not None:
                state[_optimizer_key(key, name)] = tensor
    return state


def load_training_state(net: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Tensor]) -> None:
    """Put back what `training_state` gave."""
    net.load_state_dict({name.removeprefix("net."): tensor for name, tensor in state.items() if name.startswith("net.")})
    kept = {name.split(".")[1] for name in state if name.startswith("optimizer.")} | {"momentum_buffer"}
    for name, parameter in net.named_parameters():
        for key in kept:
            if (tensor := state.get(_optimizer_key(key, name))) is not None:
                like = parameter if tensor.shape == parameter.shape else tensor  # of a parameter's shape: laid out in memory as it is
                optimizer.state[parameter][key] = torch.empty_like(like).copy_(tensor)


def _optimizer_key(key: str, name: str) -> str:
    return f"momentum.{name}" if key == "momentum_buffer" else f"optimizer.{key}.{name}"
