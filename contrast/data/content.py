"""What an image set *is*, apart from how it is stored: the hashes of its decoded pixels.

The rank of an image is the place of its hash among those of its class; the digest of a class is the hash of its sorted
hashes. Neither depends on the file format or on the order of rows. Images of any size, which are scaled when they are read, are
known by their files' bytes instead: so an image has one rank at every size and with every decoder.
"""

import hashlib
from collections.abc import Iterable

import numpy as np
from jaxtyping import Int, UInt8


def hashes(pixels: UInt8[np.ndarray, "n ..."], targets: UInt8[np.ndarray, "n k"] | None = None) -> np.ndarray:
    """The sha256 of each image's bytes (channel, row, column), as big-endian uint64 [n, 4]: row order is byte order.

    Of images that show several classes, those of their `targets` follow.
    """
    beside = (b"" for _ in pixels) if targets is None else (row.tobytes() for row in targets)
    joined = b"".join(hashlib.sha256(image.tobytes() + its).digest() for image, its in zip(pixels, beside, strict=True))
    return np.frombuffer(joined, dtype=">u8").reshape(-1, 4)


def file_hashes(files: Iterable[bytes]) -> UInt8[np.ndarray, "n 32"]:
    """The sha256 of each file's bytes: the content of images that are scaled when they are read."""
    return np.frombuffer(b"".join(hashlib.sha256(data).digest() for data in files), dtype=np.uint8).reshape(-1, 32)


def content_order(labels: Int[np.ndarray, " n"], words: np.ndarray) -> Int[np.ndarray, " n"]:
    """The places [n] of the images by class, then by hash; `words` are their `hashes`."""
    return np.lexsort((words[:, 3], words[:, 2], words[:, 1], words[:, 0], labels))


def class_digests(labels: Int[np.ndarray, " n"], words: np.ndarray) -> dict[int, str]:
    """For each class id the sha256, in hexadecimal, of the sorted hashes of its images; `labels` and `words` in any order."""
    order = content_order(labels, words)
    labels, words = labels[order], words[order]
    return {int(c): hashlib.sha256(words[labels == c].tobytes()).hexdigest() for c in np.unique(labels)}
