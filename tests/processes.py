"""Processes of a gateway under test, as /proc shows them."""

import contextlib
from pathlib import Path

PROC = Path("/proc")


def tree(pid: int) -> list[int]:
    """This process and all below it."""
    found = [pid]
    for parent in found:
        found += _children(parent)
    return found


def resident_mib(pid: int) -> float:
    """Memory that a process and all below it hold."""
    return sum(_resident_kib(member) for member in tree(pid)) / 1024


def below_that_run(pid: int, module: str) -> list[int]:
    """Processes below this one whose command line names the module."""
    return [member for member in tree(pid)[1:] if module in _read(member, "cmdline").replace("\0", " ")]


def _children(pid: int) -> list[int]:
    children: list[int] = []
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            stat = _read(int(entry.name), "stat").rpartition(")")[2].split()
            if stat and int(stat[1]) == pid and stat[0] != "Z":
                children.append(int(entry.name))
    return children


def _resident_kib(pid: int) -> int:
    lines = _read(pid, "status").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), 0)


def _read(pid: int, name: str) -> str:
    with contextlib.suppress(OSError):  # gone between two looks
        return (PROC / str(pid) / name).read_text(errors="replace")
    return ""
