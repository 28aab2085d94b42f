"""Reading a checkpoint without running any code of it, and finding the tensors of an encoder in it, all of them and no others."""

import argparse
import io
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from contrast.component import UserError
from contrast.weights.key_map import KeyMap, unwrapped

_COUNTER = "num_batches_tracked"  # of batch normalisation: older files have none, and it has no part in the result
_TYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32)
# Options that training scripts save beside the weights: to make one sets attributes of a plain object, and runs nothing.
_HARMLESS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [argparse.Namespace]
_BROKEN = (RuntimeError, OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, AssertionError, struct.error)


def read_checkpoint(content: bytes, name: str) -> Mapping[str, object]:
    """What a safetensors file or a file of `torch.save` with this content holds; `name` is what messages call it.

    Raises `UserError` where it names code, or is no such file. Of pickled files only tensors, plain values and options are made;
    whatever else they name is refused and never called.
    """
    try:
        if content[8:9] == b"{":  # behind the length of a safetensors header
            return dict(load(content))
        with torch.serialization.safe_globals(_HARMLESS):
            found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        code = re.search(r"GLOBAL (\S+)", str(error))
        if code is None:
            raise UserError(_no_checkpoint(name, "its pickle is not one that torch.save writes")) from error
        rule = f"holds pickled code or objects ({code[1]}), and must hold tensors and plain values alone; nothing of it was run"
        cure = "Where you trust its source, load it there and save its state dict alone, best as safetensors."
        raise UserError(f"{name}: {rule}. {cure}") from error
    except (SafetensorError, *_BROKEN) as error:
        first = (str(error).splitlines() or [""])[0]
        raise UserError(_no_checkpoint(name, f"{type(error).__name__}: {first}")) from error
    if not isinstance(found, Mapping):
        raise UserError(_no_checkpoint(name, f"it holds a {type(found).__name__}"))
    return found


def _no_checkpoint(name: str, why: str) -> str:
    return f"{name}: must be a safetensors file or a state dict of torch.save ({why}). Get the file again, or save it as one of these."


def encoder_weights(checkpoint: Mapping[str, object], keys: KeyMap, encoder: nn.Module) -> dict[str, Tensor]:
    """A state dict of `encoder` from a checkpoint, each tensor in the type of the encoder's.

    Every tensor must be there in name and shape, finite, and no other: a deeper network holds all of a shallower one. Raises
    `UserError` that names the first few names of each side.
    """
    held = _held(checkpoint, keys.under)
    given, sources = _named(held, keys)
    wanted = encoder.state_dict()
    _require_names(list(map(str, held)), sources, wanted)
    weights = {}
    for name, tensor in wanted.items():
        value = _dense(given.get(name, tensor), sources.get(name, name))  # only a counter may be absent
        if value.shape != tensor.shape or value.is_floating_point() != tensor.is_floating_point():
            found = f"{tuple(value.shape)} of {value.dtype}"
            rule = f"{sources[name]} is {found}, and {name} of the encoder {tuple(tensor.shape)} of {tensor.dtype}"
            raise UserError(f"{rule}. State the encoder that was saved: its depth, stem and base_width.")
        weights[name] = value.detach().to(tensor.dtype)
        if not bool(weights[name].isfinite().all()):  # as it is used: a float64 may be beyond float32
            rule = f"is not finite everywhere in {tensor.dtype}, and must be"
            raise UserError(f"{sources[name]} {rule}. Get the file again, or another one.")
    return weights


def _dense(value: object, source: str) -> Tensor:
    """`value` if it is a tensor that holds its numbers, one after the other, in a type that is computed with."""
    plain = isinstance(value, Tensor) and not (value.is_meta or value.is_nested) and value.layout is torch.strided
    if isinstance(value, Tensor) and plain and value.dtype in _TYPES:
        return value
    found = f"a {type(value).__name__}"
    if isinstance(value, Tensor):
        kind = "nested" if value.is_nested else "meta" if value.is_meta else str(value.layout).removeprefix("torch.")
        found = f"a tensor of {value.dtype}" if plain else f"a {kind} tensor"
    known = ", ".join(str(kind).removeprefix("torch.") for kind in _TYPES)
    raise UserError(f"{source} is {found}, and must be a dense tensor of {known}. Save the state dict so, best as safetensors.")


def matched(weights: Mapping[str, Tensor]) -> int:
    """How many tensors these are, the counters of batch normalisation left out: 265 of a ResNet-50."""
    return sum(not name.endswith(_COUNTER) for name in weights)


def _held(checkpoint: Mapping[str, object], under: Sequence[str]) -> Mapping[str, object]:
    """The first entry of `under` that is there, or the checkpoint itself."""
    return next((held for entry in under if isinstance(held := checkpoint.get(entry), Mapping)), checkpoint)


def _named(held: Mapping[str, object], keys: KeyMap) -> tuple[dict[str, object], dict[str, str]]:
    """The values by the encoder's names, and what the file calls them."""
    given: dict[str, object] = {}
    sources: dict[str, str] = {}
    for key, value in held.items():
        name = keys.ours(unwrapped(key)) if isinstance(key, str) else None
        if name is None:
            continue
        if name in given:
            raise UserError(f"{key} and {sources[name]} are both {name} of the encoder, and one must be. Save one of them alone.")
        given[name], sources[name] = value, key
    return given, sources


def _require_names(held: Sequence[str], sources: Mapping[str, str], wanted: Mapping[str, Tensor]) -> None:
    """All of the encoder's and no others; `sources` are what the file calls the names that it gives."""
    missing = [name for name in wanted if name not in sources and not name.endswith(_COUNTER)]
    others = [source for name, source in sources.items() if name not in wanted]
    if not any(name in wanted for name in sources):
        sides = f"the file has {_few(held)}; the encoder has {_few(list(wanted))}"
        raise UserError(f"no tensor of the encoder is there: {sides}. Choose the key map of the file's layout.")
    cure = "State the encoder that was saved: its depth, stem and base_width."
    if missing:
        raise UserError(f"the encoder has tensors that the file lacks: {_few(missing)}; the file has {_few(held)}. {cure}")
    if others:
        raise UserError(f"the file has tensors that the encoder lacks: {_few(others)}; the encoder has {_few(list(wanted))}. {cure}")


def _few(names: Sequence[str]) -> str:
    return (", ".join(names[:3]) or "none") + (f" and {len(names) - 3} more" if len(names) > 3 else "")
