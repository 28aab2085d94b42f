"""A data set's name stands for its content: class by class, the images must be those that the name has always meant.

The digests of the public data sets are pinned in `digests.json`. Of any other data set the first ones seen on this node
are recorded in the cache folder, and images that have changed since under the same name are refused as well.
"""

import json
import os
import uuid
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from contrast.component import UserError

Digests = Mapping[int, str]


@cache
def _all_pinned() -> dict[str, dict[str, dict[str, str]]]:
    text = Path(__file__).with_name("digests.json").read_text(encoding="utf-8")
    parsed: dict[str, dict[str, dict[str, str]]] = json.loads(text)
    return parsed


def check_pinned(name: str, split: str, digests: Digests) -> Digests:
    """The digests of the classes without a pinned one. Raises `UserError` when a class differs from its pinned digest."""
    pinned = _all_pinned().get(name, {}).get(split, {})
    if wrong := _differing(pinned, digests):
        raise UserError(
            f"data: {name}, split {split}: the decoded images of class {wrong} must be the published ones, and are not. "
            f"Get the files again, without loss (PNG, not JPEG); give images of your own a Dataset with another name."
        )
    return {c: digest for c, digest in digests.items() if str(c) not in pinned}


def check_recorded(record: Path, name: str, split: str, digests: Digests) -> None:
    """Compare with the digests recorded in `record`, if any, and record new classes. Raises `UserError` for a difference."""
    known = _recorded(record)
    if wrong := _differing(known, digests):
        raise UserError(
            f"data: {name}, split {split}: the images of class {wrong} must stay those that results under this name were computed "
            f"from, and have changed. Give the Dataset another name, or remove {record} together with those results."
        )
    merged = known | {str(c): digest for c, digest in digests.items()}
    temporary = record.with_name(f"{record.name}.{uuid.uuid4().hex}.tmp")
    temporary.write_text(json.dumps(merged, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, record)


def _recorded(record: Path) -> dict[str, str]:
    try:
        known = json.loads(record.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        known = error
    if not isinstance(known, dict):
        cure = "Remove it; it is written again from the images as they are now."
        raise UserError(f"{record}: does not hold the digests of the images first seen on this node ({known}). {cure}")
    return known


def _differing(known: Mapping[str, str], digests: Digests) -> str:
    return ", ".join(str(c) for c, digest in sorted(digests.items()) if known.get(str(c), digest) != digest)
