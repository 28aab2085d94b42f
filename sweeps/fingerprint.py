"""The identity of a value: sha256 of its canonical JSON.

Two stages are the same work exactly when their fingerprints agree. Every field counts except one that is `None` ("off"), so
a new knob does not orphan old results; `1` and `1.0` agree where the field is a float; unknown types are refused, never
turned into text. A class of this project enters with its name and `version`; a class of a user's file enters with its
source and that of the functions, classes and constants of the file that it names, since nobody raises a version there.
"""

import ast
import dataclasses
import hashlib
import inspect
import json
import math
import pathlib
import sys
import types
import typing
from functools import cache

from contrast.component import Component, UserError

_PACKAGES = ("contrast", "analysis", "search_spaces", "sweeps")


def fingerprint(value: Component) -> str:
    """32 hexadecimal digits that equal values share, in every process and on every machine."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:32]


def canonical(value: Component) -> str:
    """The JSON text that is hashed: keys sorted, no spaces, nothing but what defines the value."""
    return json.dumps(describe(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def describe(value: Component) -> dict[str, object]:
    """The value as JSON data: class, version, fields that are not None, and the source of a class from a user's file."""
    cls = type(value)
    if not (dataclasses.is_dataclass(cls) and cls.__dataclass_params__.frozen):
        raise UserError(
            f"{cls.__name__} is not a frozen dataclass: only frozen values have an identity. Decorate it with @dataclass(frozen=True)."
        )
    encoded: dict[str, object] = {"class": cls.__name__, "version": cls.version}
    hints = _hints(cls)
    fields: dict[str, object] = {}
    for field in dataclasses.fields(value):
        item = getattr(value, field.name)
        if item is not None:
            fields[field.name] = _encode(item, hints[field.name], f"{cls.__name__}.{field.name}")
    encoded["fields"] = fields
    if cls.__module__.partition(".")[0] not in _PACKAGES:
        encoded["source"] = source_digest(cls)
    return encoded


def _encode(item: object, hint: object, where: str) -> object:
    if isinstance(item, Component):
        return describe(item)
    if isinstance(item, bool | str):
        return item
    if isinstance(item, int | float):
        number = float(item) + 0.0 if _is_float(hint) or isinstance(item, float) else item
        if isinstance(number, float) and not math.isfinite(number):
            raise UserError(f"{where} = {item!r}: a number in a stage must be finite. Leave the field at None to switch it off.")
        return number
    if isinstance(item, tuple):
        inner = typing.get_args(_tuple_hint(hint))
        hints = [inner[0]] * len(item) if len(inner) == 2 and inner[1] is Ellipsis else list(inner) or [object] * len(item)
        return [_encode(part, kind, where) for part, kind in zip(item, hints, strict=True)]
    cure = "Use numbers, text, None, tuples and components; a list becomes a tuple, a path or a device belongs to the launch."
    raise UserError(f"{where} = {item!r}: a {type(item).__name__} has no identity. {cure}")


def _members(hint: object) -> tuple[object, ...]:
    """The alternatives of a union, or the hint itself."""
    return typing.get_args(hint) if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union else (hint,)


def _is_float(hint: object) -> bool:
    return float in _members(hint) and int not in _members(hint)


def _tuple_hint(hint: object) -> object:
    return next((member for member in _members(hint) if typing.get_origin(member) is tuple), hint)


@cache
def _hints(cls: type) -> dict[str, object]:
    return typing.get_type_hints(cls)


@cache
def source_digest(cls: type) -> str:
    """A digest of the class's source and of everything of its own file that it names, directly or through what it names."""
    module = sys.modules[cls.__module__]
    try:
        text = inspect.getsource(module)
    except (OSError, TypeError) as error:
        cure = "Define the class in a file, not in an interactive session."
        raise UserError(f"{cls.__name__}: its source cannot be read, so it has no identity ({error}). {cure}") from error
    tree = ast.parse(text)
    defined = {name: node for node in tree.body for name in _names_defined(node)}
    wanted, reached = [cls.__qualname__.partition(".")[0]], dict[str, ast.stmt]()
    while wanted:
        name = wanted.pop()
        if name in reached or name not in defined:
            continue
        reached[name] = defined[name]
        wanted += [node.id for node in ast.walk(defined[name]) if isinstance(node, ast.Name)]
    source = "\n".join(ast.unparse(reached[name]) for name in sorted(reached))
    return hashlib.sha256(source.encode()).hexdigest()[:32]


def _names_defined(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [node.target.id]
    return []


@cache
def package_digest() -> str:
    """A digest of the project's own Python files; a worker with another one refuses to work for this driver."""
    import analysis
    import contrast
    import search_spaces
    import sweeps

    digest = hashlib.sha256()
    for package in (contrast, analysis, search_spaces, sweeps):
        (root,) = package.__path__
        for path in sorted(_python_files(root)):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:32]


def _python_files(root: str) -> list[pathlib.Path]:
    return list(pathlib.Path(root).rglob("*.py"))
