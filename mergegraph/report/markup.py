"""Markup: HTML and SVG made of elements, in which no text from outside can be anything but text."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from math import isfinite
from typing import Any

from mergegraph.errors import printable

_VOID = {"br", "col", "hr", "input", "link", "meta"}


class Markup(str):
    """A text that is markup already; any other is escaped where it goes into markup."""

    __slots__ = ()


def element(name: str, /, *children: Any, **attributes: Any) -> Markup:
    """An element; an attribute that is None is left out, `class_` is `class`, `a_b` is `a-b`."""
    told = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_text(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{told}>")
    return Markup(f"<{name}{told}>{joined(children)}</{name}>")


def joined(children: Iterable[Any]) -> Markup:
    """Children one after another: markup as it is, texts escaped, None left out, lists opened."""
    return Markup("".join(map(_child, children)))


def number(value: float, digits: int = 4) -> str:
    """A number in a few significant digits, without an exponent where people need none."""
    if not isfinite(value):
        return "–"
    told = f"{value:.{digits}g}"
    if "e" in told and 1e-4 <= abs(value) < 1e15:  # noqa: PLR2004 - what is read with ease
        told = f"{value:.0f}"
    return "0" if told in ("-0", "0") else told.replace("-", "−")


def percent(share: float) -> str:
    """A share in percent, in as many digits as tell it apart."""
    if not isfinite(share):
        return "–"
    points = 100 * share
    return f"{points:.0f} %" if points in (0, 100) else f"{points:.1f} %"


def shortened(text: str, most: int) -> str:
    """A text without its middle if it is longer than so many letters."""
    if len(text) <= most:
        return text
    end = (most - 1) // 2
    return f"{text[: most - 1 - end]}…{text[len(text) - end :]}"


def _child(child: Any) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return child
    if isinstance(child, str | int | float):
        return escape(_text(child))
    return joined(child)


def _text(value: Any) -> str:
    """A value as text; of what would steer a terminal or turn a line round, an escape."""
    if isinstance(value, float):
        return coordinate(value)
    return "\n".join(map(printable, str(value).split("\n")))


def coordinate(value: float) -> str:
    """A place in a drawing, to a hundredth of a pixel."""
    told = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if told == "-0" else told
