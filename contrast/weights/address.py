"""Where a file of weights is found: below the data root, anywhere by `file:`, or at a URL, from which each node gets it once.

Its sha256 names it: what is found is the file that was meant, or an error.
"""

import hashlib
import http.client
import os
import re
import shutil
import urllib.request
import uuid
from contextlib import suppress
from functools import cache
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from contrast.component import UserError
from contrast.data.cache_folder import cache_folder

_STALLED = 30.0  # seconds without a byte that end a download
_WEB = ("http", "https")


def address_fault(address: str) -> tuple[str, str] | None:
    """What is wrong with an address, and the cure; None if it may be one."""
    parts = urlsplit(address)
    if parts.scheme in _WEB:
        secret = parts.username is not None or not parts.hostname
        return ("must name a host, and no user or password", "Fetch the file by hand and name it below the data root.") if secret else None
    if parts.scheme == "file":
        here = parts.netloc in ("", "localhost") and PurePosixPath(parts.path).is_absolute()
        return None if here else ("must be file: and the whole path of a file", "Write file:///folder/name.pth.")
    path = PurePosixPath(address)
    inside = address != "" and not path.is_absolute() and ".." not in path.parts and not re.match(r"\w+://", address)
    cure = "Name a file below the data root without a leading / or '..', file:///folder/name.pth, or an http(s) address."
    return None if inside else ("must be a file below the data root, file: or http(s):", cure)


def weights_file(address: str, sha256: str, root: Path | None) -> Path:
    """The file at `address` with that checksum; one from a URL lies in this node's cache, `weights/<sha256>`.

    Raises `UserError` where there is no such file or another one, and `OSError` where it cannot be downloaded.
    """
    if urlsplit(address).scheme in _WEB:
        return _downloaded(address, sha256)
    path = _local(address, root)
    try:
        found = _checksum(path)
    except OSError as error:
        cure = "Put the file there, on every node, or name another address."
        raise UserError(f"Pretrained.address = {address!r}: {path} cannot be read ({error.strerror}). {cure}") from error
    if found != sha256:
        raise UserError(_another(address, sha256, found))
    return path


def _local(address: str, root: Path | None) -> Path:
    if urlsplit(address).scheme == "file":
        return Path(urllib.request.url2pathname(urlsplit(address).path))
    if root is None:
        rule = "lies below the data root, which is not set"
        raise UserError(f"Pretrained.address = {address!r}: {rule}. Set CONTRAST_DATA or --data to the folder that holds it.")
    return root / address


def _downloaded(address: str, sha256: str) -> Path:
    path = cache_folder() / "weights" / sha256
    if path.exists() and _checksum(path) == sha256:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    building = path.with_name(f"{sha256}.{uuid.uuid4().hex}.tmp")
    try:
        request = urllib.request.Request(address, headers={"User-Agent": "contrast-sweeps"})  # some hosts refuse urllib's own
        with urllib.request.urlopen(request, timeout=_STALLED) as answer, open(building, "wb") as file:
            shutil.copyfileobj(answer, file, 1 << 20)
        found = _checksum(building)
        if found != sha256:
            raise UserError(_another(address, sha256, found))
        os.replace(building, path)
    except http.client.HTTPException as error:
        raise OSError(f"{type(error).__name__}: {error}") from error
    finally:
        with suppress(FileNotFoundError):
            building.unlink()
    return path


def _another(address: str, wanted: str, found: str) -> str:
    cure = "Get the file again; if its source is to be trusted, state the checksum it has."
    return f"Pretrained.sha256 = {wanted!r}: {address} must have this checksum, and has {found}. {cure}"


def _checksum(path: Path) -> str:
    now = path.stat()
    return _version_checksum(path, now.st_ino, now.st_size, now.st_mtime_ns)


@cache
def _version_checksum(path: Path, *_version: int) -> str:
    """The checksum of a file, computed once a process as long as inode, size and time stay the same."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
