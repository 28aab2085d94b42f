"""Functions of a user's file are called here, so that what they raise is told as the user's mistake: which function, where, what."""

import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contrast.component import UserError


def call(whose: str, usage: str, function: Callable[..., Any], *given: Any, **named: Any) -> Any:  # noqa: ANN401 (any function)
    """What `function` returns; what it raises becomes a `UserError` that names its line. `usage` says how it is called."""
    try:
        return function(*given, **named)
    except UserError:
        raise
    except Exception as error:  # whatever a user's function raises is the user's mistake
        inside = error.__traceback__.tb_next if error.__traceback__ is not None else None
        where = _place(inside, inside.tb_frame.f_code.co_filename) if inside is not None else _definition(function)
        cure = "Mend that line." if inside is not None else f"It is called as {usage}."
        raise UserError(f"{whose}: {type(error).__name__} in {where}: {error}. {cure}") from error


def call_with(whose: str, given: object, function: Callable[[], Any]) -> Any:  # noqa: ANN401 (any function)
    """What a library's `function` returns, which calls methods of the object that the user gave; what those raise is told likewise."""
    try:
        return function()
    except UserError:
        raise
    except Exception as error:  # as above
        module = sys.modules.get(type(given).__module__)
        where = _place(error.__traceback__, str(getattr(module, "__file__", ""))) if error.__traceback__ is not None else ""
        cure = "Mend that line, or give another one." if where else "Give another one."
        raised = f"{type(error).__name__} in {where}" if where else type(error).__name__
        raise UserError(f"{whose} ({type(given).__name__}): {raised}: {error}. {cure}") from error


def _place(trace: types.TracebackType, file: str) -> str:
    """The last line of the file that the error went through, empty if there is none."""
    last: types.TracebackType | None = None
    at: types.TracebackType | None = trace
    while at is not None:
        last, at = (at if at.tb_frame.f_code.co_filename == file else last), at.tb_next
    return f"{last.tb_frame.f_code.co_name}, {Path(file).name}:{last.tb_lineno}" if last is not None else ""


def _definition(function: Callable[..., Any]) -> str:
    """Where a function that could not even be entered is defined."""
    if not isinstance(function, types.FunctionType):
        return repr(function)
    return f"{function.__name__}, {Path(function.__code__.co_filename).name}:{function.__code__.co_firstlineno}"
