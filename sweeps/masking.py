"""Values of environment variables that look secret are never written down: not in logs, not in reasons, not in MLflow."""

import os
import re

_SECRET = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|_KEY", re.IGNORECASE)


def masked(text: str) -> str:
    """`text` with `***` for the values, of 8 characters or more, of this process's variables whose names look secret."""
    for name, value in os.environ.items():
        if len(value) >= 8 and _SECRET.search(name):
            text = text.replace(value, "***")
    return text
