"""The identity of a value: sha256 of its canonical JSON.

Two stages are the same work exactly when their fingerprints agree. Every field counts except one that is `None` ("off"), so
a new knob does not orphan old results; numbers that compare equal agree, whether they were written `1`, `1.0` or `True`;
unknown types are refused, never turned into text. A class of this project enters with its name and `version`; a class of
a user's file enters with its source and that of the functions, classes, constants and imports of the file that it names,
since nobody raises a version there.
"""

import ast
import dataclasses
import hashlib
import inspect
import json
import pathlib
import sys
import types
import typing
from collections.abc import Iterator
from functools import cache

from contrast.component import Component, UserError

_PACKAGES = ("contrast", "analysis", "search_spaces", "sweeps")


def fingerprint(value: Component) -> str:
    """32 hexadecimal digits that equal values share, in every process and on every machine."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:32]


def canonical(value: Component) -> str:
    """The JSON text that is hashed: keys sorted, no spaces, nothing but what defines the value."""
    return json.dumps(describe(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def monitored(identity: str) -> str:
    """The name under which what a monitor reads, a measure with this fingerprint, stands in the curve of what it watches."""
    return f"monitor/{identity[:8]}"


def describe(value: Component) -> dict[str, object]:
    """The value as JSON data: class, version, fields that are not None, and the source of a class from a user's file."""
    cls: type = type(value)
    if "__dataclass_params__" not in vars(cls) or not vars(cls)["__dataclass_params__"].frozen:
        raise UserError(
            f"{cls.__name__} is not a frozen dataclass: only frozen values have an identity. Decorate it with @dataclass(frozen=True)."
        )
    _refuse_blind_equality(value)
    encoded: dict[str, object] = {"class": cls.__name__, "version": value.version}
    hints = _hints(cls)
    fields: dict[str, object] = {}
    for field in dataclasses.fields(value):
        item = getattr(value, field.name)
        if item is not None:
            fields[field.name] = _encode(item, hints[field.name], f"{cls.__name__}.{field.name}")
    encoded["fields"] = fields
    if _is_users(cls):
        encoded["source"] = source_digest(cls)
    return encoded


def _refuse_blind_equality(value: Component) -> None:
    """Equal values must have one identity, since both are looked up by equality: so every field has to be compared."""
    cls = type(value)
    if not vars(cls)["__dataclass_params__"].eq:
        raise UserError(f"{cls.__name__}: is declared with eq=False, and equal values must be the same work. Leave out eq=False.")
    for field in dataclasses.fields(value):
        if not field.compare:
            rule = "is declared with compare=False, and a field that is not compared cannot count"
            raise UserError(f"{cls.__name__}.{field.name} = {getattr(value, field.name)!r}: {rule}. Leave out compare=False.")


def _encode(item: object, hint: object, where: str) -> object:
    if isinstance(item, Component):
        return describe(item)
    if isinstance(item, str | None):
        return item
    if isinstance(item, int | float):
        return _number(item, _members(hint), where)
    if isinstance(item, tuple):
        inner = typing.get_args(_tuple_hint(hint))
        if len(inner) == 2 and inner[1] is Ellipsis:
            inner = (inner[0],) * len(item)
        hints = inner if len(inner) == len(item) else (object,) * len(item)
        return [_encode(part, kind, where) for part, kind in zip(item, hints, strict=True)]
    cure = "Use numbers, text, None, tuples and components; a list becomes a tuple, a path or a device belongs to the launch."
    raise UserError(f"{where} = {item!r}: a {type(item).__name__} has no identity. {cure}")


def _number(item: float, allowed: tuple[object, ...], where: str) -> float:
    """The number in the widest type that its field allows, so that a number has one form however it was written."""
    if not -sys.float_info.max <= item <= sys.float_info.max:
        raise UserError(f"{where} = {item!r}: a number in a stage must be finite. Leave the field at None to switch it off.")
    if float in allowed or item != int(item):
        return float(item) + 0.0  # -0.0 is 0.0
    return bool(item) if bool in allowed and int not in allowed and item in (0, 1) else int(item)


def _members(hint: object) -> tuple[object, ...]:
    """The alternatives of a union, or the hint itself."""
    return typing.get_args(hint) if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union else (hint,)


def _tuple_hint(hint: object) -> object:
    return next((member for member in _members(hint) if typing.get_origin(member) is tuple), hint)


@cache
def _hints(cls: type) -> dict[str, object]:
    try:
        return typing.get_type_hints(cls)
    except NameError as error:
        cure = "Import it at the top of the file, and not under TYPE_CHECKING alone."
        raise UserError(f"{cls.__name__}: the type of a field cannot be found ({error}). {cure}") from error


def _is_users(cls: type) -> bool:
    return cls.__module__.partition(".")[0] not in _PACKAGES


@cache
def source_digest(cls: type) -> str:
    """A digest of the class's source and of everything of its own file that it names, directly or through what it names.

    A class of a user's that it inherits from counts with its own file.
    """
    name, nested, _ = cls.__qualname__.partition(".<locals>")
    defined = _definitions(cls)
    outer = name.partition(".")[0]
    if nested or outer not in defined:
        cure = "Define the class at the top level of its file."
        raise UserError(f"{cls.__qualname__}: is made when the program runs, so its source does not say what it is. {cure}")
    wanted, reached = [outer], dict[str, list[str]]()
    while wanted:
        name = wanted.pop()
        if name in reached or name not in defined:
            continue
        reached[name] = [ast.unparse(node) for node in defined[name]]
        wanted += [part.id for node in defined[name] for part in ast.walk(node) if isinstance(part, ast.Name)]
    inherited: list[type] = [base for base in cls.__mro__[1:] if issubclass(base, Component) and _is_users(base)]
    source = json.dumps([sorted(reached.items()), [source_digest(base) for base in inherited]])
    return hashlib.sha256(source.encode()).hexdigest()[:32]


def _definitions(cls: type) -> dict[str, list[ast.stmt]]:
    """The statements at the top level of the file of `cls` that define or change each name, in order."""
    try:
        text = inspect.getsource(sys.modules[cls.__module__])
    except (OSError, TypeError) as error:
        cure = "Define the class in a file, not in an interactive session."
        raise UserError(f"{cls.__name__}: its source cannot be read, so it has no identity ({error}). {cure}") from error
    found: dict[str, list[ast.stmt]] = {}
    for statement in ast.parse(text).body:
        for name, node in _named(statement):
            found.setdefault(name, []).append(node)
    return found


def _named(node: ast.stmt) -> list[tuple[str, ast.stmt]]:
    """The names that a statement defines or changes, each with what of it belongs to the name."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return [(node.name, node)]
    if isinstance(node, ast.Import):
        return [(alias.asname or alias.name.partition(".")[0], ast.Import([alias])) for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [(alias.asname or alias.name, ast.ImportFrom(node.module, [alias], node.level)) for alias in node.names]
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return [(part.id, node) for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)]
    if isinstance(node, ast.Delete):
        return [(part.id, node) for target in node.targets for part in ast.walk(target) if isinstance(part, ast.Name)]
    if isinstance(node, ast.Expr):
        return [(name, node) for name in dict.fromkeys(_touched(node))]
    inner = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt | ast.ExceptHandler)]
    inner += [child for handler in inner if isinstance(handler, ast.ExceptHandler) for child in handler.body]
    return [(name, node) for name in dict.fromkeys(n for child in inner if isinstance(child, ast.stmt) for n, _ in _named(child))]


def _touched(node: ast.Expr) -> Iterator[str]:
    """The names that the calls in a statement may change: whose method is called, and what is handed in as it is."""
    for call in ast.walk(node):
        if isinstance(call, ast.Call):
            given = [*call.args, *(keyword.value for keyword in call.keywords)]
            owner = call.func if isinstance(call.func, ast.Attribute) else None
            for part in (owner, *given):
                while isinstance(part, ast.Attribute | ast.Subscript | ast.Starred):
                    part = part.value
                if isinstance(part, ast.Name):
                    yield part.id


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
