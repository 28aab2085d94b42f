"""Fields have the types that their class declares, checked when a value is made.

A wrong type is told at once, by field, instead of in the middle of a training. What a declaration says is worked out once a
class; a hint that is not understood is not checked. An integer is welcome where a number is declared; `True` is no number.
"""

import collections.abc
import dataclasses
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache

Accepts = Callable[[object], bool]
_WORDS = {float: ("a number", "numbers"), int: ("an integer", "integers"), bool: ("True or False", "truth values"), str: ("text", "texts")}


def wrong(value: object) -> tuple[str, str, str] | None:
    """The first field of a dataclass' value that is not of its declared type, with rule and cure; None if there is none."""
    cls: type = type(value)
    for name, hint, accepts in _fields(cls):
        item = getattr(value, name)
        if not accepts(item):
            return name, f"must be {spelled(hint)}", _cure(item, hint)
    return None


@cache
def _fields(cls: type) -> tuple[tuple[str, object, Accepts], ...]:
    """Name, hint and test of the fields that can be tested."""
    try:
        hints = typing.get_type_hints(cls)
    except (NameError, AttributeError, TypeError):  # names known to a type checker only
        return ()
    found = ((field.name, hints[field.name]) for field in dataclasses.fields(cls) if field.init)
    return tuple((name, hint, accepts) for name, hint in found if (accepts := tester(hint)) is not None)


def tester(hint: object) -> Accepts | None:
    """A function that says whether a value is of the type that `hint` declares; None for a hint that is not understood."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Union or origin is types.UnionType:
        return _either(map(tester, inner))
    if origin is typing.Literal:
        return lambda value: any(type(value) is type(word) and value == word for word in inner)
    if origin is tuple:
        return _tuple(inner)
    if origin is collections.abc.Callable:
        return callable
    if origin in (Mapping, dict):
        return _mapping(*map(tester, inner))
    if origin is Sequence:
        return lambda value: isinstance(value, Sequence) and not isinstance(value, str)  # text is a sequence by accident
    return _plain(hint)


def _plain(hint: object) -> Accepts | None:
    if hint is float:
        return lambda value: isinstance(value, float | int) and value is not True and value is not False
    if hint is int:
        return lambda value: isinstance(value, int) and value is not True and value is not False
    if hint is None or hint is type(None):
        return lambda value: value is None
    if not isinstance(hint, type) or hint in (object, typing.Any) or getattr(hint, "_is_protocol", False) or typing.is_typeddict(hint):
        return None
    return lambda value: isinstance(value, hint)


def _either(members: Iterable[Accepts | None]) -> Accepts | None:
    known = list(members)
    if None in known:
        return None
    return lambda value: any(accepts(value) for accepts in known if accepts is not None)


def _tuple(inner: tuple[object, ...]) -> Accepts:
    if len(inner) == 2 and inner[1] is Ellipsis:
        each = tester(inner[0])
        return lambda value: isinstance(value, tuple) and (each is None or all(map(each, value)))
    parts = [tester(part) for part in inner]
    return lambda value: (
        isinstance(value, tuple)
        and len(value) == len(parts)
        and all(accepts is None or accepts(item) for accepts, item in zip(parts, value, strict=True))
    )


def _mapping(keys: Accepts | None, values: Accepts | None) -> Accepts:
    return lambda value: (
        isinstance(value, Mapping) and (keys is None or all(map(keys, value))) and (values is None or all(map(values, value.values())))
    )


def spelled(hint: object, many: bool = False) -> str:
    """A hint in words: "a number or None", "a tuple of integers"."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Union or origin is types.UnionType:
        return " or ".join(spelled(member, many) for member in inner)
    if origin is typing.Literal:
        return " or ".join(map(repr, inner))
    if origin is collections.abc.Callable:
        return "functions" if many else "a function"
    if origin in (tuple, Mapping, dict, Sequence):
        name = "tuple" if origin is tuple else "list" if origin is Sequence else "dict"
        group = f"{name}s" if many else f"a {name}"
        if origin is tuple and inner[-1:] != (Ellipsis,):
            return f"{group} ({', '.join(map(spelled, inner))})"
        return group if inner[0] is typing.Any else f"{group} of {spelled(inner[-1] if origin in (Mapping, dict) else inner[0], many=True)}"
    if hint is None or hint is type(None):
        return "None"
    if isinstance(hint, type):
        kind: type = hint
        return _WORDS.get(kind, (f"{_article(kind.__name__)} {kind.__name__}", f"values of {kind.__name__}"))[many]
    return "anything"


def _article(word: str) -> str:
    return "an" if word[:1] in "AEIOUaeiou" else "a"


def _cure(item: object, hint: object) -> str:
    members = typing.get_args(hint) if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union else (hint,)
    if isinstance(item, list) and tester(hint) is not None and typing.cast(Accepts, tester(hint))(tuple(item)):
        return f"Write it as a tuple, {tuple(item)!r}."
    if isinstance(item, float) and int in members and item.is_integer():
        return f"Write {int(item)}."
    if isinstance(item, str) and any(member in (int, float) for member in members):
        return "Write the number without quotes."
    if isinstance(item, type) and any(isinstance(member, type) and issubclass(item, member) for member in members):
        return f"Make one, {item.__name__}(...)."
    return f"Give one of these instead of the {type(item).__name__}."
