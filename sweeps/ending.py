"""How a process ends that did not come to its end: a user's mistake with one message and exit code 2, Ctrl-C with 130.

Imported before all else that `sweeps` imports, since that takes seconds in which Ctrl-C may be pressed.
"""

import sys
from types import TracebackType

INTERRUPTED = 130


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What nobody caught: a mistake in a value that a script makes before it calls `main`, or Ctrl-C before anything runs."""
    if issubclass(kind, KeyboardInterrupt):
        raise SystemExit(INTERRUPTED)
    component = sys.modules.get("contrast.component")
    if component is None or kind is not vars(component).get("UserError"):
        sys.__excepthook__(kind, error, trace)
        return
    tell(error)
    raise SystemExit(2)


def tell(error: BaseException) -> None:
    """One message, in red where there are colours."""
    from rich.console import Console

    Console(stderr=True).print(f"error: {error}", style="red", soft_wrap=True, highlight=False, markup=False)


sys.excepthook = _uncaught
