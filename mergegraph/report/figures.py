"""Figures: a picture with its words, what keeps it as a file, and its numbers as a table."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from mergegraph.report.markup import Markup, element, number

_MOST = 2000  # rows of a table; a page of more is slow to open


@dataclass(frozen=True)
class Table:
    """Numbers: a row begins with what it is of. `texts` are columns of words, by their place."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    texts: Collection[int] = (0,)
    chosen: Collection[int] = ()


def figure(
    title: str,
    about: str,
    picture: Markup,
    *,
    tables: Sequence[Table] = (),
    key: Markup | None = None,
    below: Markup | None = None,
) -> Markup:
    """A picture in a frame."""
    name = _file_name(title)
    return element(
        "figure",
        element("figcaption", _words(title, about), _tools(name)),
        key,
        drawing(picture, title),
        below,
        *(folded(each, name) for each in tables),
    )


def panels(
    title: str,
    about: str,
    pictures: Sequence[tuple[str, str, Markup]],
    *,
    tables: Sequence[Table] = (),
    key: Markup | None = None,
    is_wide: bool = False,
) -> Markup:
    """Small pictures of one kind side by side, each with a title and a line of its own.

    They stand in two columns if each `is_wide`, else in three.
    """
    name = _file_name(title)
    each = (
        element(
            "div",
            element("h4", own),
            element("p", more) if more else None,
            drawing(picture, f"{title}: {own}"),
            class_="panel",
        )
        for own, more, picture in pictures
    )
    return element(
        "figure",
        element("figcaption", _words(title, about), _tools(name)),
        key,
        element("div", *each, class_="panels wide" if is_wide else "panels"),
        *(folded(each, name) for each in tables),
    )


def beside(*figures: Markup) -> Markup:
    """Figures side by side where there is room for them."""
    return element("div", *figures, class_="beside")


def drawing(picture: Markup, label: str) -> Markup:
    """A picture in a box that scrolls sideways where it is wider than the page."""
    return element(
        "div",
        picture,
        class_="drawing scroll",
        tabindex="0",
        role="region",
        aria_label=f"{label} (scrolls sideways)",
    )


def table_figure(title: str, about: str, table: Table) -> Markup:
    """A table that stands open in a frame of its own."""
    name = _file_name(title)
    return element(
        "figure",
        element(
            "figcaption", _words(title, about), element("div", _button("csv", name), class_="tools")
        ),
        _boxed(table, has_caption=False),
        class_="tablebox",
    )


def folded(table: Table, name: str) -> Markup:
    """A table behind a line that opens it."""
    return element(
        "details",
        element("summary", f"Numbers: {table.caption}"),
        element("div", _button("csv", name), class_="tabletools"),
        _boxed(table),
    )


def disclosed(summary: str, *content: Markup) -> Markup:
    """What is long, behind a line that opens it."""
    return element("details", element("summary", summary), *content)


def sentence(told: str) -> Markup:
    """What is said where there is nothing to show."""
    return element("p", told)


def code(told: str) -> Markup:
    """A text as it is typed."""
    return element("pre", told, tabindex="0")


def _words(title: str, about: str) -> Markup:
    return element("div", element("h3", title), element("p", about) if about else None)


def _tools(name: str) -> Markup:
    return element("div", _button("svg", name), _button("png", name), class_="tools")


def _button(kind: str, name: str) -> Markup:
    return element(
        "button",
        f"↓ {kind.upper()}",
        type="button",
        data_keep=kind,
        data_name=name,
        aria_label=f"Download {name} as {kind.upper()}",
    )


def _boxed(table: Table, *, has_caption: bool = True) -> Markup:
    head = [
        element("th", column, scope="col", class_="text" if i in table.texts else None)
        for i, column in enumerate(table.columns)
    ]
    rows = [_row(table, i, row) for i, row in enumerate(table.rows[:_MOST])]
    count = len(table.rows)
    caption = table.caption if count <= _MOST else f"{table.caption}, {_MOST} of {count} rows"
    made = element(
        "table",
        element("caption", caption, class_=None if has_caption or count > _MOST else "unseen"),
        element("thead", element("tr", *head)),
        element("tbody", *rows),
    )
    return element(
        "div",
        made,
        class_="scroll",
        tabindex="0",
        role="region",
        aria_label=f"{table.caption} (scrolls sideways)",
    )


def _row(table: Table, place: int, row: Sequence[Any]) -> Markup:
    cells = []
    for i, value in enumerate(row):
        style = "text" if i in table.texts else None
        if i == 0:
            cells.append(element("th", _told(value), scope="row", class_=style))
        elif isinstance(value, float):
            exact = repr(value) if isfinite(value) else ""
            cells.append(element("td", number(value), data_value=exact, class_=style))
        else:
            is_long = isinstance(value, str) and len(value) > 60  # noqa: PLR2004 - letters
            cells.append(element("td", _told(value), class_="text long" if is_long else style))
    return element("tr", *cells, class_="chosen" if place in table.chosen else None)


def _told(value: Any) -> str:
    return "–" if value is None else number(value) if isinstance(value, float) else str(value)


def _file_name(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60] or "figure"
