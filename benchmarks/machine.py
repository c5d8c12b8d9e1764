"""What the measurements were made on, in words that name no host and no place."""

from __future__ import annotations

import os
import platform
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.mergekit import versions


def describe_machine(folder: Path, mergekit: Path | None) -> dict[str, str]:
    """Processor, memory, system and versions, each by its name."""
    found = {
        "processor": _processor(),
        "cores": str(_cores()),
        "memory": f"{_memory() / 2**30:.0f} GiB",
        "system": f"{platform.system()} {_two_parts(platform.release())}",
        "filesystem": _filesystem(folder),
        "Python": platform.python_version(),
        "torch": version("torch"),
        "numba": _version("numba"),
        "mergegraph": version("mergegraph"),
    }
    if mergekit is None:
        return found
    theirs, torch = versions(mergekit)
    return {**found, "mergekit": f"{theirs} with torch {torch}"}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = ""
    named = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    return named[1] if named else platform.processor() or platform.machine()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _two_parts(release: str) -> str:
    return ".".join(release.split(".")[:2])


def _filesystem(folder: Path) -> str:
    """The type of the filesystem of a folder, where the system lists its mounts."""
    try:
        lines = Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return sys.platform
    mounts = {Path(place): kind for _, place, kind, *_ in map(str.split, lines)}
    return next(mounts[each] for each in (folder.resolve() / "_").parents if each in mounts)
