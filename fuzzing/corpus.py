"""The corpus: files that were found, kept small, one for each thing that is said of files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path

from fuzzing.judging import Fault, judged
from fuzzing.targets import Target
from fuzzing.watching import Watch

HOME = Path(__file__).parent / "corpus"
_LARGEST = 1500  # bytes of a file that is kept
_MOST = 30  # files of a target
_VALUES = re.compile(r"'[^']*'|\"[^\"]*\"|\d+|\S*/\S*|\\\S+")


def kept(target: Target) -> Iterator[tuple[str, bytes]]:
    """The files that are kept of a target, by name."""
    for path in sorted((HOME / target.name).glob("*")):
        yield path.name, path.read_bytes()


def name_of(data: bytes) -> str:
    """What a file is called."""
    return sha256(data).hexdigest()[:12]


def keep(target: Target, found: Iterable[bytes], folder: Path, watch: Watch) -> int:
    """Keep the smallest file of each outcome that is not in the corpus yet; gives how many."""
    known = {_outcome(target, data, folder, watch) for _, data in kept(target)}
    home = HOME / target.name
    home.mkdir(parents=True, exist_ok=True)
    count = 0
    for data in sorted(found, key=lambda each: (len(each), each)):
        if len(data) > _LARGEST or len(known) >= _MOST:
            break
        outcome = _outcome(target, data, folder, watch)
        if outcome not in known:
            known.add(outcome)
            (home / name_of(data)).write_bytes(data)
            count += 1
    return count


def _outcome(target: Target, data: bytes, folder: Path, watch: Watch) -> str:
    """What is said of a file, without the values in it."""
    try:
        refusal = judged(target, data, folder, watch).refusal
    except Fault as fault:
        return f"fault {fault.place}"
    return "read" if refusal is None else _VALUES.sub("", refusal.split("\n")[0])[:80]
