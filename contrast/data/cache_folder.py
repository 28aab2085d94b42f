"""Where this node keeps decoded images and downloads."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """`$CONTRAST_CACHE`, else `$XDG_CACHE_HOME/contrast-sweeps`, else `~/.cache/contrast-sweeps`."""
    if named := os.environ.get("CONTRAST_CACHE"):
        return Path(named)
    if caches := os.environ.get("XDG_CACHE_HOME"):
        return Path(caches) / "contrast-sweeps"
    return Path.home() / ".cache" / "contrast-sweeps"
