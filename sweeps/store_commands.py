"""The commands that look after a store and need no sweep's script: show, logs, diff, forget, gc."""

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from contrast.component import UserError

Root = Annotated[Path, typer.Option(help="Folder of store, candidates, MLflow and reports.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it; else it is only said.")]
ROOT = Path("runs")


def terminal() -> Console:
    """The terminal, or wide lines where there is none to be as wide as."""
    console = Console()
    return console if console.is_terminal else Console(width=160)


def show(fingerprint: Annotated[str, typer.Argument(help="A stage's fingerprint, or the first digits of it.")], root: Root = ROOT) -> None:
    """The record of a stage: what it is, how it was made, what came out."""
    from sweeps.store import read_record

    folder = _stage_folder(root, fingerprint)
    record = read_record(folder / "record.json") if (folder / "record.json").exists() else None
    if record is None:
        raise UserError(f"{fingerprint}: has no finished record in {str(root)!r}. `logs {fingerprint}` shows how far it came.")
    print(json.dumps(asdict(record), indent=1))


def logs(fingerprint: Annotated[str, typer.Argument(help="A stage's fingerprint, or the first digits of it.")], root: Root = ROOT) -> None:
    """The logs of a stage's attempts, oldest first."""
    for log in sorted(_stage_folder(root, fingerprint).glob("*/log.txt")):
        print(f"== {log}")
        print(log.read_text(encoding="utf-8", errors="replace"), end="")


def compare(
    a: Annotated[str, typer.Argument(help="A stage's fingerprint, or the first digits of it; or a sweep.")],
    b: Annotated[str, typer.Argument(help="Another one of the same kind.")],
    root: Root = ROOT,
    as_json: AsJson = False,
) -> None:
    """Two stages, or two sweeps, side by side: what differs, and what came out."""
    from analysis.table import to_rich
    from sweeps.diff import diff

    _checked_store(root)
    found = diff(root, a, b)
    if as_json:
        print(json.dumps(found.as_json(), indent=1))
        return
    for table in found.tables():
        terminal().print(to_rich(table))
    for name in found.agree:
        print(f"{name}: no difference")


def remove(
    what: Annotated[str, typer.Argument(help="A stage's fingerprint, NAME/17 for a candidate, or NAME for all candidates of a sweep.")],
    root: Root = ROOT,
    yes: Yes = False,
) -> None:
    """Remove a stage with all that was computed from it, or candidates; without --yes only say what would go."""
    from sweeps.forget import forget

    _checked_store(root)
    found = forget(root, what)
    if yes:
        found.remove()
    print("\n".join([f"{'removed' if yes else 'would remove'} {line}" for line in found.lines]))
    print(found.left if yes else f"{found.left} Nothing was removed: say --yes to do it.")


def collect(
    quota: Annotated[str, typer.Option(help="How large the store may be, such as 500MB or 20GB.")],
    root: Root = ROOT,
    yes: Yes = False,
) -> None:
    """Free disk: what no sweep needs goes, until the store is within its quota; without --yes only say what would go."""
    from analysis.table import to_rich
    from sweeps.collect import free, freed_table, parsed_size, surveyed

    allowed = parsed_size(quota)
    _checked_store(root)
    plan = surveyed(root).within(allowed)
    terminal().print(to_rich(freed_table(plan, allowed)))
    if not yes:
        print("Nothing was removed: say --yes to do it.")
        return
    for part in free(root, plan):
        print(f"kept {part.stage} {part.fingerprint}, which is in use now")


def _checked_store(root: Path) -> None:
    from sweeps.store import Store

    if not (root / "store").is_dir():
        raise UserError(f"--root = {str(root)!r}: has no store. Name the --root of a run.")
    Store(root).check_format()


def _stage_folder(root: Path, fingerprint: str) -> Path:
    from sweeps.store import Store

    store = Store(root)
    store.check_format()
    found = store.find(fingerprint)
    if not found and not re.fullmatch("[0-9a-f]{1,64}", fingerprint):
        raise UserError(f"{fingerprint}: is no fingerprint. Give its first digits, 0-9 and a-f, as records and the report show it.")
    if len(found) != 1:
        which = ", ".join(path.name for path in found[:5]) or "none"
        raise UserError(f"{fingerprint}: names {len(found)} stages in {str(root)!r} ({which}). Give more digits, or another --root.")
    return found[0]
