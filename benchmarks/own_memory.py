"""Memory of this process, in MB, as the kernel counts it."""

from pathlib import Path


def resident() -> float:
    """Resident set size now."""
    return _sum("status", "VmRSS:")


def peak() -> float:
    """The most that it was since the process began, or since `reset_peak`."""
    return _sum("status", "VmHWM:")


def reset_peak() -> None:
    """The peak starts again from what is held now."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def unique() -> float:
    """What no other process shares."""
    return _sum("smaps_rollup", "Private_")


def _sum(file: str, fields: str) -> float:
    lines = Path("/proc/self", file).read_text(encoding="ascii").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(fields)) * 1024 / 1e6
