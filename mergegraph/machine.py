"""What this machine has to give: memory, cores, space on disk."""

from __future__ import annotations

import ctypes
import gc
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mergegraph.errors import MergeGraphError

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "B": 10**9}
_BINARY = {"KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}
_SIZE = re.compile(
    r"\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[KMGT]I?|B)?(?P<bytes>B)?\s*", re.IGNORECASE
)
_NO_LIMIT = 2**60
_FEWEST_FILES, _MOST_FILES = 8, 256
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_LARGE = 8 * 2**20  # bytes of a block that is given back to the system at once
_HELD = 128 * 2**20  # bytes of freed blocks that threads may hold for what comes next


def parse_size(text: str | int, option: str) -> int:
    """Bytes of a size such as `512MiB`, `5GB` or `1000000`."""
    found = _SIZE.fullmatch(str(text))
    unit = (found["unit"] or "").upper() if found else ""
    nbytes = int(float(found["number"]) * {**_UNITS, **_BINARY}[unit]) if found else 0
    if nbytes <= 0:
        raise MergeGraphError(f"{option} {text}: not a size; write 512MiB, 4GiB or 5GB")
    return nbytes


def usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def free_memory() -> int:
    """Bytes that can be taken without pushing others out, limits of the cgroup counted."""
    return max(2**28, min(_available(), _cgroup_rest()))


@dataclass(frozen=True)
class Disk:
    """A file system, and the bytes that are free on it for this user."""

    number: int
    free: int


def disk_of(path: Path) -> Disk:
    """The file system where a path is, or is to be."""
    while not path.exists():
        path = path.parent
    return Disk(path.stat().st_dev, shutil.disk_usage(path).free)


def files_at_once() -> int:
    """Files that may be open together for one purpose, of those that this process may have."""
    try:
        import resource
    except ImportError:  # Windows
        return _FEWEST_FILES
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return max(_FEWEST_FILES, min(_MOST_FILES, allowed // 8))


def resident_memory() -> int:
    """Bytes this process has in memory now; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return 0


def peak_resident_memory() -> int:
    """The most bytes this process ever had in memory; 0 where the system does not tell."""
    try:
        told = Path("/proc/self/status").read_text().partition("VmHWM:")[2]
        return int(told.split()[0]) * 1024
    except (OSError, ValueError, IndexError):
        return 0


def boot() -> str:
    """What tells this time that the machine has been up from others; empty if nothing does."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def keep_freed_memory(threads: int) -> None:
    """Have what strips leave used by the next ones, where the C library can be told so.

    By default glibc hands freed blocks of their size back to the system, which must then find,
    clear and map pages anew for every strip: that takes longer than the arithmetic.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    mallopt(_M_MMAP_THRESHOLD, _LARGE)
    mallopt(_M_TRIM_THRESHOLD, _HELD // threads)


def _available() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (ValueError, OSError, AttributeError):
        return 4 * 2**30


def _cgroup_rest() -> int:
    """What the control group leaves, for version 2 and version 1."""
    pairs = (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        (
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        ),
    )
    for limit, usage in pairs:
        try:
            return int(Path(limit).read_text()) - int(Path(usage).read_text())
        except (OSError, ValueError):
            continue
    return _NO_LIMIT


def sized(nbytes: float) -> str:
    """Bytes for people: `1.5 GiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if nbytes < 1024 or unit == "GiB":  # noqa: PLR2004
            return f"{nbytes:.0f} B" if unit == "B" else f"{nbytes:.1f} {unit}"
        nbytes /= 1024
    return ""


@contextmanager
def no_collection() -> Iterator[None]:
    """Leave the garbage collector out: a plan is millions of objects, and none of them garbage."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
