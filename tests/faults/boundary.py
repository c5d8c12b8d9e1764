"""The boundary to the operating system, with faults: calls that fail, fall short, or see changes.

A fault is plain data: `{"call": "preadv", "on": "a/model", "at": 3, "times": 1, "what": "EIO"}`
makes the third `preadv` on a file of a path with `a/model` in it fail with EIO. What it may be:

- a name of `errno`;
- `short`: fewer bytes than were asked for, at least one; `zero`: none;
- `die`: the process is killed there;
- `truncate`, `rewrite`, `restore`, `replace`, `remove`: done to the file `target` before the call
  (`rewrite` keeps the size, `restore` is a rewrite whose time of change is then put back);
- `fill`: the disk is filled by the file `target`, but for the bytes that are `left`.

Only calls on files below one folder count.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import re
import signal
from collections import Counter
from pathlib import Path
from threading import Lock

_BLOCK = 4096
_WITH_PATH = (
    "open", "stat", "lstat", "listdir", "scandir", "mkdir", "rmdir", "unlink", "rename", "replace",
)  # fmt: skip
_WITH_DESCRIPTOR = ("fstat", "fsync", "fdatasync", "ftruncate", "posix_fadvise")
_MOVING = ("preadv", "pread", "read", "pwritev", "pwrite", "write")


class Boundary:
    """Counts the calls on files of a folder, and lets those fail that are to."""

    def __init__(self, folder, faults) -> None:
        self.folder = f"{Path(folder).resolve()}/"
        self.faults = [dict(each, seen=0) for each in faults]
        self.counts = Counter()
        self.fired = Counter()
        self.lock = Lock()
        self.plain = {
            name: getattr(os, name) for name in (*_WITH_PATH, *_WITH_DESCRIPTOR, *_MOVING)
        }

    def install(self) -> None:
        """Put itself between the program and the system."""
        for name in _WITH_PATH:
            setattr(os, name, self._by_path(name))
        for name in _WITH_DESCRIPTOR:
            setattr(os, name, self._by_descriptor(name))
        for name in _MOVING:
            setattr(os, name, self._moving(name))
        opened = io.open
        io.open = builtins.open = lambda file, *a, **k: self._open(opened, file, *a, **k)

    def meet(self, call, path):
        """Count a call; raises what it is to fail with, gives `short` or `zero` if it is to be."""
        inside = self._inside(path)
        if inside is None:
            return None
        with self.lock:
            self.counts[f"{call} {inside}"] += 1
            found = [each for each in self.faults if self._is_due(each, call, inside)]
        for fault in found:
            self.fired[fault["what"]] += 1
            self._befall(fault, path)
        return next((each["what"] for each in found if each["what"] in ("short", "zero")), None)

    def _is_due(self, fault, call, inside) -> bool:
        if not re.fullmatch(fault["call"], call) or not re.search(fault["on"], inside):
            return False
        fault["seen"] += 1
        at = fault.get("at", 1)
        return at <= fault["seen"] < at + fault.get("times", 1)

    def _befall(self, fault, path) -> None:
        what = fault["what"]
        if what.startswith("E"):
            number = getattr(errno, what)
            raise OSError(number, os.strerror(number), str(path))
        if what == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if what not in ("short", "zero"):
            alter(Path(self.folder, fault["target"]), what, fault.get("left", 0))

    def _inside(self, path):
        if isinstance(path, int):
            try:
                path = os.readlink(f"/proc/self/fd/{path}")
            except OSError:
                return None
        full = os.path.abspath(os.fsdecode(path))
        return (
            (full + "/").removeprefix(self.folder).rstrip("/") or "."
            if f"{full}/".startswith(self.folder)
            else None
        )

    def _by_path(self, name):
        plain = self.plain[name]

        def call(path=".", *given, **more):
            if not more.get("dir_fd"):
                self.meet(name, path)
            return plain(path, *given, **more)

        return call

    def _by_descriptor(self, name):
        plain = self.plain[name]

        def call(descriptor, *given):
            self.meet(name, descriptor)
            return plain(descriptor, *given)

        return call

    def _moving(self, name):
        plain = self.plain[name]

        def call(descriptor, data, *given):
            how = self.meet(name, descriptor)
            if how == "zero":
                return b"" if name in ("read", "pread") else 0
            return plain(descriptor, _less(name, data) if how else data, *given)

        return call

    def _open(
        self, plain, file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, **more
    ):
        if isinstance(file, int) or self._inside(file) is None:
            return plain(file, mode, buffering, encoding, errors, newline, **more)
        raw = _raw(self)(os.fspath(file), mode.replace("b", "").replace("t", ""))
        if buffering == 0:
            return raw
        kind = io.BufferedReader
        if "+" in mode:
            kind = io.BufferedRandom
        elif raw.writable():
            kind = io.BufferedWriter
        buffered = kind(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding, errors, newline)


def _less(name, data):
    """About half of what was to be moved."""
    if name in ("read", "pread"):
        return max(1, data // 2)
    if name in ("preadv", "pwritev"):
        size = sum(map(len, data)) // 2
        size = size // _BLOCK * _BLOCK or max(1, size)
        return [memoryview(data[0])[:size]]
    return memoryview(data)[: max(1, len(data) // 2)]


def _raw(boundary):
    """The class of files that Python's own buffers read and write through."""

    class Raw(io.FileIO):
        def __init__(self, file, mode) -> None:
            boundary.meet("open", file)
            super().__init__(file, mode)

        def readinto(self, buffer):
            how = boundary.meet("read", self.name)
            if how == "zero":
                return 0
            view = memoryview(buffer).cast("B")
            return super().readinto(view[: max(1, len(view) // 2)] if how else view)

        def read(self, size=-1):
            if size < 0:
                return self.readall()
            found = bytearray(size)
            return bytes(found[: self.readinto(found)])

        def readall(self):
            found = b""
            while data := self.read(2**16):
                found += data
            return found

        def write(self, data):
            how = boundary.meet("write", self.name)
            view = memoryview(data).cast("B")
            if how == "zero":
                return 0
            return super().write(view[: max(1, len(view) // 2)] if how else view)

        def truncate(self, size=None):
            boundary.meet("ftruncate", self.name)
            return super().truncate(size)

    return Raw


def alter(path, how, left=0) -> None:
    """Do something to a file, as others might while it is read."""
    plain = io.FileIO
    found = os.lstat(path) if how not in ("remove", "fill") else None
    if how == "fill":
        free = os.statvfs(path.parent)
        with plain(path, "w") as file:
            file.write(bytes(max(0, free.f_bavail * free.f_frsize - left)))
    elif how == "truncate":
        os.truncate(path, found.st_size // 2)
    elif how in ("rewrite", "restore"):
        with plain(path, "r+") as file:
            file.seek(-16, os.SEEK_END)
            file.write(b"\x3f" * 16)
        if how == "restore":
            os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    elif how == "replace":
        other = path.with_name(f".{path.name}.new")
        with plain(path, "r") as file, plain(other, "w") as new:
            new.write(file.readall()[:-16] + b"\x3f" * 16)
        os.rename(other, path)
    elif how == "remove":
        os.unlink(path)
    else:
        raise ValueError(how)
