"""Which stages a driver works on, told to the drivers of other sweeps on the same root: a file a stage in progress.

    DIR/claims/<fingerprint>    who: the folder and the token of a lock, and the stages that the work needs

A claim is alive exactly as long as that lock is held by that token: the lock's heartbeat is the claim's, and a driver that
is killed leaves nothing that stands in the way. Claims are taken, taken over and given back behind one door that the kernel
opens at a process's death; so of many that find a dead claim one gets it, and a claim torn by a kill is nobody's.
"""

import contextlib
import fcntl
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from contrast.component import UserError
from sweeps.lock import Lock, Owner, driver


@dataclass(frozen=True)
class Claim:
    """A stage in progress: the folder of the driver's sweep below `sweeps/`, the token of its lock, what the stage needs."""

    sweep: str
    token: str
    needs: tuple[str, ...] = ()


class Claiming(Protocol):
    """How a controller tells others what it works on."""

    def take(self, identity: str, needs: Iterable[str]) -> bool:
        """Claim a stage; False when another living driver works on it."""

    def give_back(self, identity: str) -> None:
        """The stage is finished, or not worked on any more."""

    def holder(self, identity: str) -> str | None:
        """Which other living driver works on a stage, None when none does."""


class Alone:
    """For a root that nobody else works on, and for virtual time: every claim is granted."""

    def take(self, identity: str, needs: Iterable[str]) -> bool:
        """Granted."""
        return True

    def give_back(self, identity: str) -> None:
        """Nothing to do."""

    def holder(self, identity: str) -> str | None:
        """Nobody."""
        return None


class Claims:
    """The claims of the driver that holds `lock`, which lies in a folder of `root/sweeps`."""

    def __init__(self, root: Path, lock: Lock) -> None:
        self.root, self.folder = root, root / "claims"
        self.sweep, self.token = lock.folder.name, lock.me.token
        check_claims(root)
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._door():
            for path in self.folder.glob("[!.]*"):
                claim = read_claim(path)
                if claim is None or living(root, claim) is None:  # of a driver that was killed
                    path.unlink()

    def take(self, identity: str, needs: Iterable[str]) -> bool:
        """Claim a stage; False when another living driver works on it. A dead driver's claim is taken over."""
        path = self.folder / identity
        text = json.dumps(asdict(Claim(self.sweep, self.token, tuple(needs))))
        with self._door():
            if self._other(read_claim(path)) is not None:
                return False
            path.write_text(text, encoding="utf-8")
        return True

    def give_back(self, identity: str) -> None:
        """The stage is finished, or not worked on any more; a claim that was taken over stays with the other."""
        path = self.folder / identity
        with self._door():
            claim = read_claim(path)
            if claim is not None and claim.token == self.token:
                path.unlink()

    def holder(self, identity: str) -> str | None:
        """Which other living driver works on a stage: sweep, process and machine; None when none does."""
        claim = read_claim(self.folder / identity)
        owner = self._other(claim)
        if claim is None or owner is None:
            return None
        who = "another command" if claim.sweep.startswith(".") else f"sweep {claim.sweep}"
        return f"{who} (pid {owner.pid} on {owner.host})"

    def _other(self, claim: Claim | None) -> Owner | None:
        return living(self.root, claim) if claim is not None and claim.token != self.token else None

    @contextlib.contextmanager
    def _door(self) -> Iterator[None]:
        with open(self.folder / ".door", "a", encoding="utf-8") as door:
            fcntl.flock(door, fcntl.LOCK_EX)
            yield


def living(root: Path, claim: Claim) -> Owner | None:
    """The driver of a claim if it still holds its lock."""
    owner = driver(root / "sweeps" / claim.sweep)
    return owner if owner is not None and owner.token == claim.token else None


def check_claims(root: Path) -> None:
    """Refuse what no driver can work beside: a file in place of the folder, and in it what is no file, or cannot be read."""
    folder = root / "claims"
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: must be a folder, and is a file. Move it away, or name another --root.")
    for path in sorted(folder.glob("*")):
        try:
            path.read_bytes()
        except FileNotFoundError:  # given back since
            continue
        except OSError as error:
            cure = "Move it away, or make it readable; nothing but files of drivers belongs there."
            raise UserError(f"{path}: must be the file of a claim, and cannot be read ({error.strerror}). {cure}") from error


def read_claim(path: Path) -> Claim | None:
    """The claim in a file, None when there is none, it is no file, or it is torn."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Claim(str(found["sweep"]), str(found["token"]), tuple(map(str, found["needs"])))
    except (FileNotFoundError, IsADirectoryError, ValueError, TypeError, KeyError):
        return None


def all_claims(root: Path) -> dict[str, Claim]:
    """The claims below a root by fingerprint, dead ones too."""
    found = ((path.name, read_claim(path)) for path in sorted((root / "claims").glob("[!.]*")))
    return {name: claim for name, claim in found if claim is not None}
