"""All faults of the table, with other seeds, and of the sweep every so-manieth: for minutes or hours.

    PYTHONPATH=tests/faults python tests/faults/campaign.py --seeds 3 --every 17

Prints how many faults of each kind were tried, and what did not hold; fails if there is anything.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from faultlist import FAULTS, Fault, sweep
from trials import Launcher, make_home, reference_of, violations


def tried(folder: Path, seeds: range, every: int) -> tuple[Counter[str], list[str]]:
    """Faults tried by kind, and in words what did not hold."""
    launcher, model = Launcher(), make_home(folder / "model")
    reference, counts = reference_of(launcher, model)
    kinds: Counter[str] = Counter()
    found: list[str] = []
    for fault, seed in _faults(counts, seeds, every):
        kinds[fault.kind] += 1
        found += violations(launcher, fault, model, "case", reference, counts, seed)
    launcher.close()
    return kinds, found


def _faults(counts: dict[str, int], seeds: range, every: int) -> Iterator[tuple[Fault, int]]:
    for seed in seeds:
        yield from ((fault, seed) for fault in FAULTS)
        if every:
            yield from ((fault, seed) for fault in list(sweep(counts))[seed % every :: every])


def main() -> None:
    """Read the options, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--every", type=int, default=0, help="of the sweep; 0 for none of it")
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        seeds = range(given.first, given.first + given.seeds)
        kinds, found = tried(Path(folder), seeds, given.every)
    sys.stdout.write(f"{kinds.total()} faults: {dict(kinds)}; did not hold: {len(found)}\n")
    sys.stdout.writelines(f"{each}\n" for each in found)
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
