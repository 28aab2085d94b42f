"""Values of environment variables that look secret are never written down: not in logs, not in reasons, not in MLflow."""

import os
import re
from functools import cache

_SECRET = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|_KEY", re.IGNORECASE)


def masked(text: str) -> str:
    """`text` with `***` for the values, of 8 characters or more, of this process's variables whose names look secret."""
    for name in filter(_looks_secret, os.environ):
        value = os.environ.get(name, "")
        if len(value) >= 8:
            text = text.replace(value, "***")
    return text


@cache
def _looks_secret(name: str) -> bool:
    return _SECRET.search(name) is not None
