"""A fuzzer that follows coverage: atheris, in a process of its own, on one target."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

_FOLLOWED = ["mergegraph", "yaml", "jinja2", "torch._weights_only_unpickler"]
_LARGEST = 65_536  # bytes of a file
_SLOWEST = 30  # seconds, after which the fuzzer itself stops
_MEMORY = 4096  # MiB
_OWN = 0.7  # share of mutations that know what is changed
_RUNS = re.compile(r"stat::number_of_executed_units: (\d+)")
_COVERED = re.compile(r"cov: (\d+)")


@dataclass(frozen=True)
class Figures:
    """What a campaign came to; `covered` counts edges of the code."""

    executions: int
    seconds: float
    covered: int
    faults: tuple[str, ...]


def is_installed() -> bool:
    """Whether atheris is there."""
    from importlib.util import find_spec

    return find_spec("atheris") is not None


def campaign(name: str, seconds: int, folder: Path) -> Figures:
    """Fuzz a target for a time; files of interest come to `folder/corpus`, faults to `folder`."""
    from mergegraph.errors import MergeGraphError  # here, or the fuzzer could not follow it

    if not is_installed():
        raise MergeGraphError("atheris is not installed: pip install atheris, or use --blind")
    (folder / "corpus").mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-W", "ignore", "-m", "fuzzing.guided", name, str(seconds)]
    began = time.monotonic()
    done = subprocess.run(  # noqa: S603 - our own module
        [*command, str(folder)], capture_output=True, check=False, env={**os.environ}
    )
    spent = time.monotonic() - began
    told = done.stderr.decode(errors="replace") + done.stdout.decode(errors="replace")
    runs, covered = _RUNS.findall(told), _COVERED.findall(told)
    faults = [path.read_text("utf-8", "replace") for path in sorted(folder.glob("*.txt"))]
    if not runs:
        faults.append(f"the fuzzer stopped: {told[-500:]}")
    return Figures(int((runs or [0])[-1]), spent, int((covered or [0])[-1]), tuple(faults))


def _fuzz(arguments: Sequence[str]) -> None:
    """What the process of a campaign does; it ends with it."""
    import atheris
    import tokenizers  # noqa: F401 - large, and not to be followed
    import torch  # noqa: F401

    name, seconds, folder = arguments[0], arguments[1], Path(arguments[2])
    with atheris.instrument_imports(include=_FOLLOWED):
        from fuzzing.corpus import kept, name_of
        from fuzzing.judging import Fault, judged
        from fuzzing.mutations import mutated
        from fuzzing.targets import TARGETS
        from fuzzing.watching import Watch
    target = TARGETS[name]
    samples = [*target.samples(), *(data for _, data in kept(target))]
    for data in samples:
        (folder / "corpus" / name_of(data)).write_bytes(data)
    inside = folder / "inside"
    inside.mkdir(exist_ok=True)
    target.lay(inside)
    watch = Watch()
    known: set[str] = set()

    def attack(data: bytes) -> None:
        try:
            judged(target, data, inside, watch)
        except Fault as fault:
            if fault.place not in known:
                known.add(fault.place)
                (folder / f"fault-{name_of(data)}").write_bytes(data)
                text = f"{name_of(data)} {fault.place}: {str(fault)[:500]}"
                (folder / f"fault-{name_of(data)}.txt").write_text(text, "utf-8", "replace")

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        random = Random(seed)
        if random.random() < _OWN:
            return mutated(target.mutate, data, samples, random)[:most]
        found: Any = atheris.Mutate(data, most)
        return bytes(found)

    for data in samples:
        attack(data)
    limits = [f"-max_total_time={seconds}", f"-timeout={_SLOWEST}", f"-rss_limit_mb={_MEMORY}"]
    limits += [f"-max_len={_LARGEST}", f"-artifact_prefix={folder}/fault-", "-print_final_stats=1"]
    atheris.Setup(["fuzzing", *limits, str(folder / "corpus")], attack, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    _fuzz(sys.argv[1:])
