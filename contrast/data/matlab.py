"""One variable of a MATLAB file (version 5), as some data sets keep their lists."""

import zlib
from pathlib import Path

import numpy as np

from contrast.component import UserError


def variable(file: Path, name: str) -> np.ndarray:
    """The variable `name` of `file` as an array of one dimension; a structure's fields are those of its dtype.

    Raises `UserError` for a file that is missing, torn or no such file, and for one without the variable.
    """
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        stored = loadmat(str(file), squeeze_me=True, appendmat=False)
    except (OSError, ValueError, TypeError, KeyError, IndexError, NotImplementedError, zlib.error, MatReadError) as error:
        raise UserError(f"{file}: is not a whole MATLAB file ({error}). Get that file again.") from error
    if name not in stored:
        raise UserError(f"{file}: has no variable {name}. Get that file again.")
    return np.atleast_1d(stored[name])
