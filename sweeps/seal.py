"""Sealed JSON: text that tells by itself when a byte of it was altered; records and candidates are written so."""

import hashlib
import json
import math
from json.encoder import encode_basestring_ascii as _text
from typing import Any


def sealed(kind: str, data: object) -> str:
    """`data` as JSON under the name `kind`, with a seal that a single altered byte breaks."""
    plain = json.loads(json.dumps(data))
    return laid_out({kind: plain, "seal": _seal(plain)})


def unsealed(kind: str, content: bytes) -> dict[str, Any]:
    """What was sealed; raises `ValueError` for bytes that are not as they were written.

    Not for text: whoever reads a file as text takes a carriage return for the end of a line.
    """
    text = content.decode("utf-8")
    try:
        found = json.loads(text)
        data, seal = found[kind], found["seal"]
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"it is no sealed {kind}") from error
    if not isinstance(data, dict) or seal != _seal(data) or text != laid_out(found):
        raise ValueError("it was altered: its seal is broken")
    return data


def laid_out(data: object, margin: str = "\n") -> str:
    """What `json.dumps(data, indent=1)` gives of what was read from JSON, in a fraction of its time: that is all generators."""
    if isinstance(data, str):
        return _text(data)
    if type(data) is int or (type(data) is float and math.isfinite(data)):
        return repr(data)
    inner = f"{margin} "
    if isinstance(data, dict) and data:
        return f"{{{','.join([f'{inner}{_text(key)}: {laid_out(value, inner)}' for key, value in data.items()])}{margin}}}"
    if isinstance(data, list) and data:
        return f"[{','.join([inner + laid_out(value, inner) for value in data])}{margin}]"
    return json.dumps(data)


def _seal(data: object) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
