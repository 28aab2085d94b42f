"""Where a file of weights is found: below the data root, anywhere by `file:`, or at a URL, from which each node gets it once.

Its sha256 names it: what is found is the file that was meant, or an error. It is read once, and the bytes that have the
checksum are those that are loaded, whatever becomes of the file meanwhile.
"""

import hashlib
import http.client
import os
import re
import urllib.request
import uuid
from contextlib import suppress
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qsl, unquote, urlsplit

from contrast.component import UserError
from contrast.data.cache_folder import cache_folder

_STALLED = 30.0  # seconds without a byte that end a download
_WEB = ("http", "https")
_PLAIN_QUERIES = {(name, value) for name in ("download", "dl", "raw") for value in ("1", "true")}  # ask for the file, and are no key to it
_LONGEST_LABEL = 63  # bytes between two dots of a host's name

Fault = tuple[str, str] | None


def address_fault(address: str) -> Fault:
    """What is wrong with an address, and the cure; None if it may be one."""
    if "\0" in unquote(address):
        return "must be without the character 0", "Name the file as it is named on the disk or on the host."
    scheme = re.match(r"\s*(\w+):", address)
    if scheme is not None and scheme[1].lower() in _WEB:
        return _url_fault(address)
    if scheme is not None and scheme[1].lower() == "file":
        return _file_fault(address)
    path = PurePosixPath(address)
    inside = address != "" and not path.is_absolute() and ".." not in path.parts and not re.match(r"[\w+.-]+://", address)
    cure = "Name a file below the data root without a leading / or '..', file:///folder/name.pth, or an http(s) address."
    return None if inside else ("must be a file below the data root, file: or http(s):", cure)


def _url_fault(address: str) -> Fault:
    if not re.fullmatch(r"[!-~]+", address):
        return "must be of ASCII characters without spaces", "Write others as a browser copies them: %C3%A9 for an e with an accent."
    try:
        parts = urlsplit(address)
        named = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        named = False
    if not named or not all(1 <= len(label) <= _LONGEST_LABEL for label in (parts.hostname or "").removesuffix(".").split(".")):
        return "must name a host as http(s)://host/folder/name.pth does", "Write the address as a browser shows it."
    by_hand = "Fetch the file by hand and name it below the data root."
    if "@" in parts.netloc:
        return "must name a host, and no user or password", by_hand
    if "#" in address or not set(parse_qsl(parts.query, keep_blank_values=True)) <= _PLAIN_QUERIES:
        return "must have nothing behind ? but download=1, dl=1 or raw=1, and no #, as that may be a key and is written down", by_hand
    return None


def _file_fault(address: str) -> Fault:
    whole = re.fullmatch(r"file:(//(localhost)?)?/[^/?#][^?#]*", address, re.IGNORECASE) is not None
    return None if whole else ("must be file: and the whole path of a file", "Write file:///folder/name.pth, %3F for ? and %23 for #.")


def shown(address: str) -> str:
    """An address that is at fault, as it may be written down: without user, password, query and fragment, wherever these end."""
    scheme = re.match(r"\s*([\w+.-]+:)?/*", address)
    if scheme is not None and "@" in address:
        return scheme[0] + "***"
    head, *rest = re.split(r"[?#]", address, maxsplit=1)
    return head + ("***" if rest else "")


def weights_content(address: str, sha256: str, root: Path | None) -> bytes:
    """The file at `address`, which has that checksum; one from a URL lies in this node's cache, `weights/<sha256>`.

    Raises `UserError` where there is no such file, or another one, or where the cache cannot be written, and `OSError` where it
    cannot be downloaded whole.
    """
    if urlsplit(address).scheme in _WEB:
        return _from_web(address, sha256)
    path = _local(address, root)
    try:
        content = path.read_bytes()
    except OSError as error:
        cure = "Put the file there, on every node, or name another address."
        raise UserError(f"Pretrained.address = {address!r}: {path} cannot be read ({error.strerror}). {cure}") from error
    _require_checksum(content, address, sha256, "Get the file again; if its source is to be trusted, state the checksum it has.")
    return content


def _local(address: str, root: Path | None) -> Path:
    if re.match("file:", address, re.IGNORECASE):
        return Path(urllib.request.url2pathname(urlsplit(address).path))
    if root is None:
        rule = "lies below the data root, which is not set"
        raise UserError(f"Pretrained.address = {address!r}: {rule}. Set CONTRAST_DATA or --data to the folder that holds it.")
    return root / address


def _from_web(address: str, sha256: str) -> bytes:
    path = cache_folder() / "weights" / sha256
    try:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() == sha256:
            return content
    except FileNotFoundError:
        pass
    except OSError as error:
        raise _cache_fault("read", error) from error
    content = _download(address)
    cure = "Check the address, and the checksum with whoever publishes the file; what lies there may have been exchanged."
    _require_checksum(content, address, sha256, cure)
    _keep(content, path)
    return content


def _download(address: str) -> bytes:
    """All of what is there; one that is cut short raises `OSError`, so that it is tried again."""
    request = urllib.request.Request(address, headers={"User-Agent": "contrast-sweeps"})  # some hosts refuse urllib's own
    try:
        with urllib.request.urlopen(request, timeout=_STALLED) as answer:
            content: bytes = answer.read()
    except http.client.HTTPException as error:
        raise OSError(f"{type(error).__name__}: {error}") from error
    return content


def _keep(content: bytes, path: Path) -> None:
    building = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        building.write_bytes(content)
        os.replace(building, path)
    except OSError as error:
        raise _cache_fault("written", error) from error
    finally:
        with suppress(OSError):
            building.unlink()


def _cache_fault(what: str, error: OSError) -> UserError:
    cure = "Set CONTRAST_CACHE to a folder with space that you may write to."
    return UserError(f"CONTRAST_CACHE = {str(cache_folder())!r}: cannot be {what} ({error.strerror or error}). {cure}")


def _require_checksum(content: bytes, address: str, wanted: str, cure: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != wanted:
        raise UserError(f"Pretrained.sha256 = {wanted!r}: {address} must have this checksum, and has {found}. {cure}")
