"""The table of faults: what is injected, where, and what is to be told of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

_ALWAYS = 10**9
_IN, _OUT = r"^(a|b|base)/.*safetensors$", r"^out\.partial/.*safetensors$"
_AGAIN = "changed while it was read; run again when it is left alone"


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong: at the n-th of some calls, or by a limit or a setup.

    `at` is the number of the call, or a share of all of them, or None to have it drawn.
    """

    name: str
    kind: str
    what: str = ""
    call: str = ""
    on: str = ""
    at: int | float | None = None
    times: int = 1
    target: str = ""
    told: str = "."
    code: int = 1
    limits: Mapping[str, int] = field(default_factory=dict)
    setup: str = ""
    arguments: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    or_codes: tuple[int, ...] = ()

    @property
    def codes(self) -> tuple[int, ...]:
        """How a run may end with it."""
        return (self.code, *self.or_codes)

    def job(self, counts: Mapping[str, int], seed: int) -> dict[str, Any]:
        """The fault as the launcher takes it; what is drawn, is by the seed."""
        found: dict[str, Any] = {}
        if self.limits:
            found["limits"] = dict(self.limits)
        if self.setup:
            found["setup"] = self.setup
        if self.what:
            each = {"call": self.call, "on": self.on, "what": self.what, "times": self.times}
            each |= {"target": self.target, "at": self._place(counts, seed)}
            found["faults"] = [each]
        return found

    def _place(self, counts: Mapping[str, int], seed: int) -> int:
        if isinstance(self.at, int):
            return self.at
        total = 0
        for told, count in counts.items():
            call, _, path = told.partition(" ")
            if re.fullmatch(self.call, call) and re.search(self.on, path):
                total += count
        if self.at is not None:
            return max(1, round(self.at * total))
        # writes that are neighbours may be one call or several: not all that were counted come
        return Random(f"{self.name} {seed}").randint(1, max(1, total // 2))


def _full(name, call, on, **more) -> Fault:
    told = r"No space left on device.*make room, and the same command continues"
    return Fault(name, "full disk", "ENOSPC", call, on, times=_ALWAYS, told=told, **more)


def _changed(name, what, target, **more) -> Fault:
    given = {"call": "preadv", "on": _IN, "told": _AGAIN, **more}
    return Fault(name, "input changed", what, target=target, **given)


A1, A2 = "a/model-00001-of-00002.safetensors", "a/model-00002-of-00002.safetensors"
SIDE = "base/merges.txt"

FAULTS = (
    # -- disks that are full --------------------------------------------------------------
    _full("full at the first shard", "write", _OUT, at=1),
    _full("full while shards are written", "pwritev?", _OUT),
    _full("full at the second shard", "pwritev?", r"^out\.partial/.*00002-of.*safetensors$", at=1),
    _full("full for the journal", "write", "journal", at=2),
    _full("full for a side file", "write", "merges.txt$"),
    _full("full for the manifest", "write", "mergegraph.json$"),
    _full("full for the card", "write", "README.md$"),
    _full("full when the size is set", "ftruncate", _OUT),
    Fault("quota used up", "full disk", "EDQUOT", "pwritev?", _OUT, times=_ALWAYS,
          told="Disk quota exceeded.*the same command continues"),
    Fault("files too large", "full disk", "EFBIG", "pwritev?", _OUT, told="File too large.*--shard-size"),
    Fault("limit of a file's size", "full disk", limits={"RLIMIT_FSIZE": 500_000}, code=1,
          told="File too large.*--shard-size"),
    # -- reading ----------------------------------------------------------------------------
    Fault("tensor cannot be read", "read error", "EIO", "preadv", _IN, told="^(a|b|base)/.*: cannot be read"),
    Fault("last strip cannot be read", "read error", "EIO", "preadv", _IN, at=1.0,
          told="^(a|b|base)/.*: cannot be read: Input/output error"),
    Fault("weights cannot be opened", "read error", "EACCES", "open", _IN, at=1.0,
          told="^(a|b|base)/.*: cannot be read: Permission denied", or_codes=(2,)),
    Fault("header cannot be read", "read error", "EIO", "read", _IN, at=1, told="cannot be read", code=2),
    Fault("config cannot be read", "read error", "EIO", "read", "config.json$", at=1, told="cannot be read", code=2),
    Fault("folder cannot be listed", "read error", "EIO", "listdir|scandir", "^(a|b|base)$", at=1, times=_ALWAYS,
          told="cannot be read|Input/output", code=2),
    Fault("side file cannot be read when it is copied", "read error", "EIO", "read", "^base/merges.txt$", at=1.0,
          told="^base/merges.txt: cannot be read: Input/output error"),
    Fault("stale handle", "read error", "ESTALE", "preadv", _IN, told="cannot be read: Stale file handle"),
    Fault("result cannot be read back for its digests", "read error", "EIO", "read", r"^out\.partial/README",
          told="cannot be read: Input/output error"),
    # -- writing ----------------------------------------------------------------------------
    Fault("strip cannot be written", "write error", "EIO", "pwritev?", _OUT, told=r"^out\.partial/.*cannot be written"),
    Fault("journal cannot be written", "write error", "EIO", "write", "journal", told="cannot be written"),
    Fault("shard cannot be opened", "write error", "EACCES", "open", _OUT, told="cannot be written: Permission denied"),
    Fault("directory cannot be made", "write error", "EACCES", "mkdir", "out", at=1, told="cannot be written|cannot be made"),
    Fault("disk turns read-only", "write error", "EROFS", "pwritev?|write|rename|mkdir|fsync", "out", times=_ALWAYS,
          told="Read-only file system"),
    Fault("result cannot be renamed", "write error", "EXDEV", "rename", "partial$", told="Invalid cross-device link"),
    Fault("result cannot be renamed, an empty directory stood there", "write error", "EBUSY", "rename", "partial$",
          told="busy", before=("empty out",)),
    Fault("sync fails", "write error", "EIO", "fsync", _OUT, told="cannot be written: Input/output error"),
    Fault("sync of a folder fails", "write error", "EIO", "fsync", "^out.partial$", told="cannot be written"),
    Fault("sync of the folder above fails", "write error", "EIO", "fsync", r"^\.$", told="is whole, but"),
    Fault("folders cannot be synced", "write error", "EINVAL", "fsync", "^out.partial$", code=0),
    # -- fewer bytes than asked for -----------------------------------------------------------
    Fault("short reads of tensors", "short", "short", "preadv", _IN, at=1, times=_ALWAYS, code=0),
    Fault("short reads of all else", "short", "short", "read", ".", at=1, times=_ALWAYS, code=0),
    Fault("short writes of tensors", "short", "short", "pwritev?", _OUT, at=1, times=40, code=0),
    Fault("short writes of all else", "short", "short", "write", "(?<!journal)$", at=1, times=_ALWAYS, code=0),
    Fault("nothing is read", "short", "zero", "preadv", _IN, told="ends before its tensors do"),
    Fault("nothing is written", "short", "zero", "pwritev?", _OUT, at=1, times=_ALWAYS, told="takes no bytes"),
    Fault("signals all the time", "short", setup="signals_all_the_time", code=0),
    # -- inputs that others change --------------------------------------------------------------
    _changed("weights rewritten", "rewrite", A1),
    _changed("weights rewritten at the end", "rewrite", A2, at=1.0),
    _changed("weights rewritten, time put back", "restore", A1),
    _changed("weights replaced", "replace", A1),
    _changed("weights removed", "remove", A1, told=f"{_AGAIN}|No such file"),
    _changed("weights cut", "truncate", A1, at=1, told=f"{_AGAIN}|ends before"),
    _changed("config rewritten", "rewrite", "base/config.json"),
    _changed("side file rewritten", "rewrite", SIDE),
    _changed("side file removed", "remove", SIDE),
    _changed("side file rewritten while it is copied", "rewrite", SIDE, call="write", on="merges.txt$", at=1),
    _changed("side file cut while it is copied", "truncate", SIDE, call="write", on="merges.txt$", at=1),
    _changed("side file removed before it is copied", "remove", "base/more/special.json", call="mkdir", on=r"^out\.partial/more$", at=1,
             told="cannot be read|changed"),
    _changed("weights rewritten while side files are written", "rewrite", A1, call="preadv", on=_IN, at=1.0),
    # -- memory, threads, files ---------------------------------------------------------------
    Fault("memory refused", "refused", setup="memory_refused", told="refuses more memory; .*--memory"),
    Fault("memory refused late", "refused", setup="memory_refused_late", told="refuses more memory; .*--memory"),
    Fault("no threads", "refused", setup="no_threads", told="refuses another thread"),
    Fault("two threads", "refused", setup="two_threads", told="refuses another thread"),
    Fault("too many open files", "refused", "EMFILE", "open", _IN, at=1.0, told="Too many open files|refuses to open"),
    Fault("compiler fails", "refused", setup="failing_compiler", code=0, arguments=("--memory", "512MiB")),
    # -- clocks, and systems without something ------------------------------------------------
    Fault("clocks jump", "clock", setup="clock_back_and_forth", code=0),
    Fault("clocks stand", "clock", setup="clock_stands", code=0),
    Fault("no direct writing", "lacking", setup="no_direct_writing", code=0),
    Fault("direct writing refused", "lacking", "EINVAL", "pwritev", _OUT, at=1, times=_ALWAYS, code=0),
    # -- the end at any call --------------------------------------------------------------------
    Fault("killed at the first shard", "killed", "die", "write", _OUT, at=1, code=-9),
    Fault("killed at a strip", "killed", "die", "pwritev?", _OUT, code=-9),
    Fault("killed at a line of the journal", "killed", "die", "write", "journal", code=-9),
    Fault("killed before the manifest", "killed", "die", "write", "mergegraph.json$", code=-9),
    Fault("killed before the renaming", "killed", "die", "rename", "partial$", code=-9),
    Fault("killed after the renaming", "killed", "die", "unlink", "out/", code=-9),
)  # fmt: skip

ERRORS = {
    "open": ("EIO", "EACCES", "EMFILE", "ENOENT"),
    "stat": ("EIO", "EACCES"),
    "lstat": ("EIO", "EACCES"),
    "fstat": ("EIO",),
    "listdir": ("EIO", "EACCES"),
    "scandir": ("EIO", "EACCES"),
    "mkdir": ("EACCES", "ENOSPC", "EROFS"),
    "rmdir": ("EIO",),
    "unlink": ("EACCES", "EROFS"),
    "rename": ("EXDEV", "EACCES", "EIO"),
    "fsync": ("EIO", "ENOSPC"),
    "ftruncate": ("ENOSPC", "EIO"),
    "read": ("EIO", "short"),
    "preadv": ("EIO", "short", "ESTALE"),
    "write": ("ENOSPC", "EIO", "short"),
    "pwrite": ("ENOSPC", "EIO", "short", "EDQUOT"),
    "pwritev": ("ENOSPC", "EIO", "short", "EDQUOT"),
}


def sweep(counts: Mapping[str, int]) -> Iterator[Fault]:
    """Every call that a run makes, failing in every way, and the process killed there."""
    for told, count in sorted(counts.items()):
        call, _, path = told.partition(" ")
        for what in (*ERRORS.get(call, ()), "die"):
            for number in range(1, count + 1):
                yield Fault(
                    f"{what} at {call} {number} of {path}",
                    "sweep",
                    what,
                    call,
                    f"^{re.escape(path)}$",
                    at=number,
                    code={"die": -9, "short": 0}.get(what, 1),
                    or_codes=() if what == "die" else (0, 1, 2),
                )
