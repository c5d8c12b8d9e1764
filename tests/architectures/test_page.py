"""The page of architectures has a row for each kind that is tried, and no other."""

from __future__ import annotations

from pathlib import Path

from kinds import KINDS

PAGE = Path(__file__).parents[2] / "docs" / "architectures.md"


def row(name, kind):
    """What is told of a kind: by what it is loaded, and which of its layers are sliced."""
    stacks = ", ".join(f"`{each.stored}`" for each in kind.stacks) or "whole models only"
    return f"| {name} | {kind.loads.removeprefix('Auto')} | {stacks} |"


def test_the_page_has_every_kind_that_is_tried():
    first, _, _ = PAGE.read_text().partition("\n## ")
    told = [line for line in first.splitlines() if line.startswith("| ")]
    assert told[1:] == [row(name, kind) for name, kind in KINDS.items()]
