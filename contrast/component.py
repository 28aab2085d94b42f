"""A component is a frozen dataclass that is its own configuration.

Losses, augmentations, encoders, heads, optimisers, data sets and stages are values: equal fields mean the same thing, and
a value that exists has been checked. Fields are numbers, strings, `None`, tuples and other components, nothing else, so
that every value can be written down, hashed and sent to another machine.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import wraps
from typing import Any, ClassVar

from contrast.typed import wrong

MOST_PIXELS = 4096  # the side of an image: one of three channels takes 200 MB in float32


class UserError(ValueError):
    """A user's mistake. The text names the field, the value, the rule and the cure; it is shown without a traceback."""


@dataclass(frozen=True)
class Component:
    """A frozen value with behaviour; subclasses are frozen dataclasses and check themselves in `__post_init__`.

    There every field has the type that the class declares: that is checked first, whichever class writes `__post_init__`.
    `version` is raised when the *results* of the class change, so that mending one component orphans only what used it.
    """

    version: ClassVar[int] = 1

    def __init_subclass__(cls, **options: Any) -> None:  # noqa: ANN401 (whatever a metaclass takes)
        super().__init_subclass__(**options)
        if "__post_init__" in vars(cls):
            cls.__post_init__ = _types_first(vars(cls)["__post_init__"])  # type: ignore[assignment, method-assign]

    def __post_init__(self) -> None:
        """Check the types of the fields; raises `UserError`."""
        require_types(self)


def _types_first(rules: Callable[[Any], None]) -> Callable[[Any], None]:
    """`rules` of a class, after the check of types; that is left out where a subclass calls them by `super()`, having done it."""

    @wraps(rules)
    def check(self: Any) -> None:  # noqa: ANN401 (a value of any component class)
        if type(self).__post_init__ is check:
            require_types(self)
        rules(self)

    return check


def require(ok: bool, owner: object, field: str, rule: str, cure: str) -> None:
    """Raise `UserError` about `owner.field` unless `ok`; `rule` reads "must be above 0", `cure` is an imperative sentence."""
    if not ok:
        raise UserError(f"{type(owner).__name__}.{field} = {getattr(owner, field)!r}: {rule}. {cure}")


def require_count(owner: object, field: str, most: int, cure: str, *, least: int = 1) -> None:
    """Raise `UserError` unless `owner.field` is None or in its range: beyond `most` there is no room, and a slip of the pen is likely."""
    value = getattr(owner, field)
    require(value is None or least <= value <= most, owner, field, f"must be an integer from {least} to {most}", cure)


def require_types(owner: object) -> None:
    """Raise `UserError` unless every field of the dataclass' value `owner` has the type that its class declares."""
    found = wrong(owner)
    if found is not None:
        field, rule, cure = found
        require(False, owner, field, rule, cure)


def nested(value: object) -> Iterator[Component]:
    """The components directly inside `value`: in its fields, or in tuples of its fields, in order of declaration."""
    if isinstance(value, tuple):
        for item in value:
            if isinstance(item, Component):
                yield item
            else:
                yield from nested(item)
    elif isinstance(value, Component):
        for field in fields(value):
            yield from nested((getattr(value, field.name),))


def walk(value: Component) -> Iterator[Component]:
    """`value` and every component inside it, outermost first; a component reached twice is given twice."""
    yield value
    for part in nested(value):
        yield from walk(part)
