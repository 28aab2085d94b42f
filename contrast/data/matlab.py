"""One variable of a MATLAB file (version 5), as some data sets keep their lists."""

import zlib
from pathlib import Path

import numpy as np

from contrast.component import UserError


def variable(file: Path, name: str, cure: str = "Get that file again.") -> np.ndarray:
    """The variable `name` of `file` as an array of one dimension; a structure's fields are those of its dtype.

    Raises `UserError` for a file that is missing, torn or no such file, and for one without the variable.
    """
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    if not file.is_file():
        raise UserError(f"{file}: is missing. {cure}")
    try:
        stored = loadmat(str(file), squeeze_me=True, appendmat=False)
    except (OSError, ValueError, TypeError, KeyError, IndexError, NotImplementedError, zlib.error, MatReadError) as error:
        raise UserError(f"{file}: is not a whole MATLAB file ({error}). {cure}") from error
    if name not in stored:
        raise UserError(f"{file}: has no variable {name}. {cure}")
    found: np.ndarray = np.atleast_1d(stored[name])
    if found.ndim != 1:
        raise UserError(f"{file}: {name} must be one row, and has the shape {found.shape}. {cure}")
    return found


def integers(values: np.ndarray, file: Path, name: str) -> np.ndarray:
    """`values` of the variable or field `name` of `file` as int64 [N]; raises `UserError` for what is no integer."""
    wrong = [value for value in values.tolist() if not isinstance(value, int | float | np.integer) or not float(value).is_integer()]
    if wrong:
        raise UserError(f"{file}: {name} must hold integers, and holds {wrong[0]!r}. Get that file again.")
    return values.astype(np.int64)
