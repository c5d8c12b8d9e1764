"""docs/reliability.md, made of figures and the prose of its template."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from string import Template

from reliability.figures import Figures

PAGE = "reliability.md"
PARTS = ("kills", "rivals", "combinations", "faults")

_BAD_INPUT = """
## Bad input

Every reader of files is attacked with files made to break it: hostile ones written by hand, and
mutations of sound ones that follow what code they reach. Nothing may be executed or written, time
and memory stay bounded, and what is refused is refused in a sentence.

    python -m reliability fuzz --minutes 10"""
_TEMPLATE = Path(__file__).with_name("reliability.template.md")


def page_text(figures: Mapping[str, Figures], machine: Mapping[str, str]) -> str:
    """The whole page."""
    told = {part: _section(figures.get(part)) for part in PARTS}
    told["fuzz"] = f"{_BAD_INPUT}\n\n{_section(figures['fuzz'])}\n" if "fuzz" in figures else ""
    described = "; ".join(f"{word}: {value}" for word, value in machine.items())
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(told, machine=described)


def _section(figures: Figures | None) -> str:
    if figures is None:
        return "Not measured yet."
    told = f"{figures.sentence} ({figures.date}, {figures.minutes:.0f} min, seed {figures.seed})"
    return f"{told}\n\n{figures.table().markdown()}" if figures.lines else told
