"""`python -m reliability`: attack, count, and tell."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from time import monotonic
from typing import Any

from benchmarks.machine import describe_machine
from reliability.combinations import DifferenceError, try_combinations
from reliability.figures import Figures, read_figures, write_figures
from reliability.kills import LostError, try_kills
from reliability.nursery import Nursery
from reliability.page import PAGE, PARTS, page_text
from reliability.rivals import try_rivals
from reliability.scenes import SCENES, short_scenes
from reliability.tables import Told, of_combinations, of_faults, of_fuzzing, of_kills, of_rivals
from reliability.trials import FaultError, try_faults, try_fuzzing

ROOT = Path(__file__).parent.parent
_EVERY = 11  # of all calls that may fail, one in so many is made to
RESULTS = "results.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Attack with what was asked for; gives the exit status."""
    if not sys.platform.startswith("linux"):
        print("the campaign needs Linux: processes are held and killed as it alone allows")
        return 2
    options = _options(arguments)
    folder = options.folder.resolve()
    known = read_figures(folder / RESULTS)
    parts = _parts(options, folder)
    for name in options.parts or ([] if options.again else PARTS):
        began = monotonic()
        try:
            told = parts[name]()
        except (DifferenceError, LostError, FaultError) as error:
            print(f"{name}: {error}", f"what it left is in {folder}", sep="\n")
            return 1
        minutes = (monotonic() - began) / 60
        known[name] = Figures(*told, _today(), minutes, options.seed)
        write_figures(folder / RESULTS, known)
        print(f"{name}: {told[0]}")
    if options.write:
        text = page_text(known, _machine(folder))
        (options.write / PAGE).write_text(text, encoding="utf-8")
    return 0


def _parts(options: argparse.Namespace, folder: Path) -> Mapping[str, Callable[[], Told]]:
    scenes = short_scenes() if options.short else SCENES
    limits: dict[str, Any] = {
        "minutes": options.minutes,
        "seed": options.seed,
        "rounds": options.rounds,
        "tell": _tell if options.verbose else _be_silent,
    }

    def kills() -> Told:
        with Nursery(options.seed) as nursery:
            return of_kills(try_kills(folder / "kills", nursery, scenes=scenes, **limits))

    def rivals() -> Told:
        with Nursery(options.seed) as nursery:
            return of_rivals(try_rivals(folder / "rivals", nursery, **limits))

    def combinations() -> Told:
        return of_combinations(try_combinations(folder / "combinations", **limits))

    return {
        "kills": kills,
        "rivals": rivals,
        "combinations": combinations,
        "faults": lambda: of_faults(try_faults(seed=options.seed, every=_EVERY)),
        "fuzz": lambda: of_fuzzing(try_fuzzing(minutes=options.minutes)),
    }


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m reliability",
        description="Attack the promises of the same bytes and of nothing lost, and count.",
    )
    add = parser.add_argument
    names = (*PARTS, "fuzz")
    add(
        "parts",
        nargs="*",
        metavar="PART",
        help=f"some of {', '.join(names)}; default: all but the last",
    )
    add("--minutes", type=float, default=10, help="for each part")
    add("--rounds", type=int, help="for each part, if they are over before the minutes")
    add("--seed", type=int, default=0, help="of what is drawn; instants of kills are never equal")
    add("--short", action="store_true", help="leave out what takes long and gigabytes")
    add("--folder", type=Path, default=ROOT / "build" / "reliability", help="for models, figures")
    add("--again", action="store_true", help="attack nothing: tell what is known")
    add("--write", type=Path, metavar="DIR", help="write reliability.md there")
    add("--verbose", action="store_true", help="tell every round")
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - set(names):
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    return options


def _machine(folder: Path) -> dict[str, str]:
    folder.mkdir(parents=True, exist_ok=True)
    told = describe_machine(folder, None)
    return {word: told[word] for word in ("cores", "memory", "system", "filesystem", "Python")}


def _today() -> str:
    return datetime.now(timezone.utc).date().isoformat()


def _tell(line: str) -> None:
    print(line[:300], flush=True)


def _be_silent(_line: str) -> None:
    pass


if __name__ == "__main__":
    sys.exit(main())
