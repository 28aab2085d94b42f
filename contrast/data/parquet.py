"""Images in Parquet files as on the Hugging Face hub: a column of {bytes, path} and a column of labels."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from contrast.component import UserError
from contrast.data.png import Decode
from contrast.data.spooled import spooled

IMAGE_COLUMNS = ("img", "image")
LABEL_COLUMNS = ("label", "fine_label")
_AGAIN = "Get that file again"


def parquet_files(folder: Path, split: str) -> tuple[Path, ...]:
    """The shards `<split>-*.parquet` in `folder` or its folder `data`, in order of name.

    Raises `UserError` when `-of-N` says that some are missing.
    """
    files = tuple(sorted(folder.glob(f"{split}-*.parquet")) or sorted(folder.glob(f"data/{split}-*.parquet")))
    total = re.search(r"-of-(\d+)\.parquet$", files[0].name) if files else None
    if total and int(total[1]) != len(files):
        raise UserError(f"{folder}: holds {len(files)} of {int(total[1])} files {split}-*.parquet. Get the missing ones.")
    return files


def read_parquet(files: Sequence[Path], decode: Decode, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Pixels uint8 [N, *shape] and labels int64 [N] of all shards, in a file of no name where the pixels are many.

    `decode(bytes, place)` makes an image of `shape`. Raises `UserError` for a torn, empty or strange file.
    """
    labels: list[np.ndarray] = []

    def images() -> Iterator[np.ndarray]:
        for file in files:
            cells, its_labels = _read_one(file)
            labels.append(its_labels)
            for row, cell in enumerate(cells):
                yield decode(cell or b"", f"{file}, row {row}")

    pixels = spooled(images(), shape)
    return pixels, np.concatenate(labels)


def parquet_images(files: Sequence[Path]) -> Iterator[bytes]:
    """The bytes of the images of all shards, in the order of `read_parquet`, which raises the same errors."""
    return (cell or b"" for file in files for cell in _read_one(file)[0])


def _read_one(file: Path) -> tuple[Iterator[bytes | None], np.ndarray]:
    """The images' bytes of one shard, one after the other, and its labels."""
    from pyarrow import parquet as pq
    from pyarrow.lib import ArrowException
    from pyarrow.types import is_integer, is_struct

    try:
        names = pq.read_schema(file).names
        image, label = _column(file, names, IMAGE_COLUMNS), _column(file, names, LABEL_COLUMNS)
        table = pq.read_table(file, columns=[image, label])
    except (ArrowException, OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: is not a whole Parquet file ({error}). {_AGAIN}.") from error
    if len(table) == 0:
        raise UserError(f"{file}: holds no images. {_AGAIN}, or remove it.")
    if not is_struct(table[image].type) or table[image].type.get_field_index("bytes") < 0:
        raise UserError(f"{file}: column {image} must be {{bytes, path}}, is {table[image].type}. {_AGAIN}.")
    if not is_integer(table[label].type) or table[label].null_count:
        raise UserError(f"{file}: column {label} must be integers without gaps, is {table[label].type}. {_AGAIN}.")
    cells = (data for chunk in table[image].chunks for part in chunk.field("bytes") for data in (part.as_py(),))
    return cells, table[label].to_numpy().astype(np.int64)


def _column(file: Path, names: Sequence[str], wanted: Sequence[str]) -> str:
    for name in wanted:
        if name in names:
            return name
    raise UserError(f"{file}: has columns {', '.join(names)}, must have one of {', '.join(wanted)}. Rename the column.")
