"""Sealed JSON: text that tells by itself when a byte of it was altered; records and candidates are written so."""

import hashlib
import json
from typing import Any


def sealed(kind: str, data: object) -> str:
    """`data` as JSON under the name `kind`, with a seal that a single altered byte breaks."""
    plain = json.loads(json.dumps(data))
    return json.dumps({kind: plain, "seal": _seal(plain)}, indent=1)


def unsealed(kind: str, text: str) -> dict[str, Any]:
    """What was sealed; raises `ValueError` for text that is not as it was written."""
    try:
        found = json.loads(text)
        data, seal = found[kind], found["seal"]
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"it is no sealed {kind}") from error
    if not isinstance(data, dict) or seal != _seal(data) or text != json.dumps(found, indent=1):
        raise ValueError("it was altered: its seal is broken")
    return data


def _seal(data: object) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
