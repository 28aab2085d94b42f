"""Forgetting: a stage with all that was computed from it, a candidate, or all candidates of a sweep. It is said before it is done."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from contrast.component import UserError
from sweeps.claims import Claims
from sweeps.lock import Lock, driver, passing
from sweeps.reach import above, all_sweeps, nested
from sweeps.store import Store, remove_stage


@dataclass(frozen=True)
class Forgotten:
    """What would be removed, a line each, and `remove`, which does it. `left` says what stays, and what follows."""

    lines: tuple[str, ...]
    left: str
    remove: Callable[[], None]


def forget(root: Path, what: str) -> Forgotten:
    """What forgetting `what` means: digits of a stage's fingerprint, `NAME/17` a candidate, or `NAME` a sweep's candidates."""
    name, slash, number = what.partition("/")
    if name and not name.startswith(".") and (root / "sweeps" / name / "candidates").is_dir():
        return _candidates(root, what, name, number, whole=not slash)
    if slash:
        raise UserError(f"{what}: there is no sweep {name!r} below {str(root)!r}. {_known(root)}")
    found = Store(root).find(what)
    if len(found) != 1:
        which = ", ".join(path.name for path in found[:5]) or "none"
        rule = f"names {len(found)} stages below {str(root)!r} ({which}) and no sweep"
        raise UserError(f"{what}: {rule}. Give more digits of a fingerprint, NAME or NAME/NUMBER. {_known(root)}")
    return _stage(root, found[0])


def _known(root: Path) -> str:
    names = sorted(path.parent.name for path in (root / "sweeps").glob("[!.]*/candidates"))
    return f"Sweeps there: {', '.join(names) or 'none'}."


def _candidates(root: Path, what: str, name: str, number: str, *, whole: bool) -> Forgotten:
    folder = root / "sweeps" / name
    owner = driver(folder)
    if owner is not None:
        raise UserError(f"{what}: a driver works on this sweep (pid {owner.pid} on {owner.host}). End it first, or wait for it.")
    paths = sorted((folder / "candidates").glob("*.json"))
    if not whole:
        if not (number.isdecimal() and number.isascii()):
            raise UserError(f"{what}: {number!r} is no candidate's number. Write for example {name}/17.")
        paths = [path for path in paths if path.stem == f"{int(number):05d}"]
        if not paths:
            raise UserError(f"{what}: sweep {name!r} has no candidate {number}. `status {name}` says how many it has.")
    also = [path for path in (folder / "across.json",) if whole and path.exists()]

    def remove() -> None:
        with Lock(folder):
            for path in reversed([*also, *paths]):  # the last first: a draw rests on those before it
                path.unlink(missing_ok=True)

    lines = tuple(f"candidate {int(path.stem)} of sweep {name}" for path in paths)
    left = "Their stages stay in the store, where `gc` may free them; `run` draws the candidates again."
    return Forgotten(lines, left, remove)


def _stage(root: Path, folder: Path) -> Forgotten:
    gone = _with_children(root, folder.name)
    _refuse_in_use(root, set(gone))

    def remove() -> None:
        with passing(root) as lock:
            claims = Claims(root, lock)
            try:
                for identity in gone:
                    if not claims.take(identity, ()):
                        raise UserError(_in_use(identity, claims.holder(identity) or "another driver"))
                _refuse_in_use(root, set(gone))
                for path in gone.values():
                    remove_stage(path)
            finally:
                for identity in gone:
                    claims.give_back(identity)

    lines = tuple(f"{path.parent.name} {identity}" for identity, path in reversed(gone.items()))
    return Forgotten(lines, "Sweeps that need these stages compute them again at their next run.", remove)


def _with_children(root: Path, identity: str) -> dict[str, Path]:
    """A stage and all that was computed from it, or begun to be, with their folders; what needs others before what they need."""
    folders = Store(root).folders()
    needs = {one: nested(folders, one) for one in folders}
    for sweep in all_sweeps(root):
        needs |= {one: direct for one, direct in sweep.needs.items() if not needs.get(one)}
    found = sorted(above(needs, [identity]) & set(folders), key=lambda one: (len(above(needs, [one])), one))
    return {one: folders[one] for one in found}


def _refuse_in_use(root: Path, stages: set[str]) -> None:
    for sweep in all_sweeps(root):
        if sweep.driver is not None and not stages.isdisjoint(sweep.needs):
            who = "a command" if sweep.name.startswith(".") else f"sweep {sweep.name}"
            raise UserError(_in_use(min(stages & set(sweep.needs)), f"{who} (pid {sweep.driver.pid} on {sweep.driver.host})"))


def _in_use(identity: str, who: str) -> str:
    return f"{identity}: {who} works with it now. End it first, or wait for it."
