"""`python -m benchmarks.interruptions`: commands interrupted at random instants, and continued."""

from __future__ import annotations

import argparse
import random
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from mergegraph.interruption import STATUS
from mergegraph.testing import tiny_family

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_START = 2.0  # seconds that Python may take to start, on a machine with much else to do
_LIMIT = 2.0
_RECIPE = """\
merge_method: {method}
base_model: family/base
models:
- {{model: family/tuned-1, parameters: {{weight: 0.5}}}}
- {{model: family/tuned-2, parameters: {{weight: 0.5}}}}
"""
_MIXTURE = """\
base_model: family/base
gate_mode: random
experts:
- {source_model: family/tuned-1}
- {source_model: family/tuned-2}
"""


@dataclass(frozen=True)
class Case:
    """A command, and the directory that it makes, if any."""

    name: str
    arguments: str
    made: str | None = None

    @property
    def words(self) -> list[str]:
        """What is typed."""
        return shlex.split(self.arguments)


_CASES = (
    Case("help", "--help"),
    Case("methods", "methods ties"),
    Case("plan", "plan ties.yaml"),
    Case("run ties", "run ties.yaml --out out-ties", "out-ties"),
    Case("run tsv_merge", "run tsv.yaml --out out-tsv", "out-tsv"),
    Case("moe", "moe experts.yaml --out out-moe", "out-moe"),
    Case(
        "extract-lora",
        "extract-lora --model family/tuned-1 --base family/base --out out-lora",
        "out-lora",
    ),
    Case("verify", "verify whole-ties"),
    Case("reproduce", "reproduce whole-ties"),
)


@dataclass(frozen=True)
class Ending:
    """How a command ended: how long after the signal, if that came before it had ended."""

    case: Case
    at: float
    took: float
    status: int
    text: str
    was_running: bool

    @property
    def is_early(self) -> bool:
        """Whether Python was just starting, and ended as every Python does."""
        return self.status in {-signal.SIGINT, -signal.SIGTERM} and self.at < _START

    @property
    def line(self) -> str:
        """What happened."""
        last = self.text.rstrip().rpartition("\n")[2]
        return f"{self.case.name} at {self.at:.2f} s: {self.status}, {self.took:.2f} s: {last}"

    @property
    def is_bad(self) -> bool:
        """Whether it took too long, or ended otherwise."""
        return not self.is_told or self.took > _LIMIT

    @property
    def is_told(self) -> bool:
        """Whether it ended as it should: with the one sentence, or whole."""
        if self.status == 0 or self.is_early:
            return "interrupted" not in self.text
        command = f"; to continue: mergegraph {self.case.arguments}"
        said = [line for line in self.text.splitlines() if line.startswith("interrupted")]
        ends = self.text.endswith(f"{command}\n" if self.case.made else "interrupted\n")
        return self.status == STATUS and len(said) == 1 and ends and "Traceback" not in self.text


def main(arguments: Sequence[str] | None = None) -> int:
    """Interrupt, measure, continue; gives 1 if a command took too long or ended otherwise."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.interruptions")
    parser.add_argument("--rounds", type=int, default=100, help="signals in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--hidden", type=int, default=768, help="width of the models")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it is ignored
    with tempfile.TemporaryDirectory() as folder:
        endings = _campaign(
            Path(folder), options.rounds, options.hidden, random.Random(options.seed)
        )
    bad = [each for each in endings if each.is_bad]
    for each in bad:
        print(f"BAD {each.line}\n{each.text}")
    _tell(endings)
    return 1 if bad else 0


def _campaign(folder: Path, rounds: int, hidden: int, chance: random.Random) -> list[Ending]:
    _prepare(folder, hidden)
    seconds = {each.name: _whole(folder, each) for each in _CASES}
    endings = []
    for number in range(rounds):
        case = _CASES[number % len(_CASES)]
        at = chance.uniform(0, seconds[case.name])
        endings.append(_interrupted(folder, case, at, chance.choice(_SIGNALS)))
        if not endings[-1].was_running:
            seconds[case.name] *= 0.8  # the machine has less to do than when that was measured
        print(f"{number}: {endings[-1].line}", flush=True)
        if case.made and chance.random() < 0.5:
            _check(folder, case)
    for case in _CASES:
        if case.made:
            _check(folder, case)
    return endings


def _prepare(folder: Path, hidden: int) -> None:
    tiny_family(folder / "family", layers=4, hidden=hidden, vocabulary=2000)
    for name, method in (("ties", "ties"), ("tsv", "tsv_merge")):
        text = _RECIPE.format(method=method)
        (folder / f"{name}.yaml").write_text(text)
    (folder / "experts.yaml").write_text(_MIXTURE)
    _command(folder, ["run", "ties.yaml", "--out", "whole-ties"]).communicate()


def _whole(folder: Path, case: Case) -> float:
    """Run a command to its end; gives how long that takes."""
    began = time.monotonic()
    started = _command(folder, case.words)
    text, _ = started.communicate()
    assert started.returncode == 0, text
    if case.made:
        (folder / case.made).rename(folder / f"whole.{case.made}")
    return time.monotonic() - began


def _interrupted(folder: Path, case: Case, at: float, number: signal.Signals) -> Ending:
    started = _command(folder, case.words)
    time.sleep(at)
    was_running = started.poll() is None
    began = time.monotonic()
    started.send_signal(number)
    text, _ = started.communicate()
    took = time.monotonic() - began
    left = [each.name for each in folder.glob(".whole*")]
    assert not left, left
    return Ending(case, at, took, started.returncode, text, was_running)


def _check(folder: Path, case: Case) -> None:
    """Continue what was interrupted, and compare what comes of it."""
    assert case.made is not None
    text, _ = _command(folder, case.words).communicate()
    made, whole = (dict(_digests(folder / each)) for each in (case.made, f"whole.{case.made}"))
    assert made == whole, (case.name, text)
    shutil.rmtree(folder / case.made)


def _digests(folder: Path) -> Iterator[tuple[str, str]]:
    """Of every file but those that tell the name of the directory."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in ("README.md", "mergegraph.json"):
            yield str(path.relative_to(folder)), sha256(path.read_bytes()).hexdigest()


def _command(folder: Path, words: Sequence[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "mergegraph", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _tell(endings: Sequence[Ending]) -> None:
    print(f"{'command':14} signals  interrupted  median   90 %    most")
    for name in [each.name for each in _CASES] + [""]:
        of_case = [each for each in endings if name in ("", each.case.name)]
        took = sorted(each.took for each in of_case if each.status == STATUS)
        if took:
            shown = [took[int(share * (len(took) - 1))] for share in (0.5, 0.9, 1)]
            row = "  ".join(f"{each:5.2f}s" for each in shown)
            print(f"{name or 'all':14} {len(of_case):7}  {len(took):11}  {row}")
    print("statuses:", dict(Counter(each.status for each in endings)))


if __name__ == "__main__":
    sys.exit(main())
