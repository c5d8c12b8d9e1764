"""The page: what surrounds the sections, in one file that asks for nothing from anywhere."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files

from mergegraph.provenance.discretion import without_home
from mergegraph.report import palette
from mergegraph.report.markup import Markup, element, joined
from mergegraph.secrecy import without_secrets

_PACKAGE = "mergegraph.report"


@dataclass(frozen=True)
class Fact:
    """A number at the top of a page, with what it is of and what it means."""

    name: str
    value: str
    more: str = ""


@dataclass(frozen=True)
class Section:
    """A part of a page: its pictures with their tables, or a sentence why there is none."""

    title: str
    about: str
    content: Sequence[Markup] = ()


@dataclass(frozen=True)
class Chapter:
    """All there is to show of one thing: a recipe, a result or a search."""

    title: str
    kind: str
    lead: str
    facts: Sequence[Fact]
    sections: Sequence[Section]
    notes: Sequence[str] = ()


def page(chapters: Sequence[Chapter], version: str) -> str:
    """The page of some chapters, as the text of a file."""
    title = ", ".join(each.title for each in chapters)
    style, script = _style(), _asset("page.js")
    policy = (
        f"default-src 'none'; style-src {_allowed(style)}; script-src {_allowed(script)}; "
        "img-src blob: data:; base-uri 'none'; form-action 'none'"
    )
    anchors = [
        (f"s{i}-{j}", each)
        for i, chapter in enumerate(chapters)
        for j, each in enumerate(chapter.sections)
    ]
    links = (element("a", each.title, href=f"#{anchor}") for anchor, each in anchors)
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("meta", name="generator", content=f"mergegraph {version}"),
        element("title", f"{discreet(title)} · mergegraph report"),
        element("style", Markup(style)),
    )
    bar = element(
        "div",
        element(
            "div",
            element("nav", *links, aria_label="Sections"),
            element("button", "◐ auto", type="button", class_="theme"),
            class_="inner",
        ),
        class_="bar",
    )
    content = joined(
        [
            bar,
            _head(chapters[0]),
            element("main", *(_chapter(i, each) for i, each in enumerate(chapters)), id="content"),
        ]
    )
    body = element(
        "body",
        element("a", "To the content", href="#content", class_="skip"),
        Markup(discreet(content)),
        element("footer", f"Made by mergegraph {version}. Nothing here is loaded from elsewhere.",
                class_="foot"),
        element("div", id="tip", hidden="hidden", aria_hidden="true"),
        element("script", Markup(script)),
    )  # fmt: skip
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def discreet(text: str) -> str:
    """A text as others may see it: without secrets, and with `~` for the user's home directory."""
    return without_home(without_secrets(text))


def _head(chapter: Chapter) -> Markup:
    return element(
        "header",
        element("p", chapter.kind, class_="over"),
        element("h1", chapter.title),
        element("p", chapter.lead, class_="lead") if chapter.lead else None,
        _tiles(chapter.facts),
        class_="head",
    )


def _chapter(number: int, chapter: Chapter) -> Markup:
    """A chapter; the first has its head at the top of the page."""
    opening = None
    if number:
        opening = joined(
            [
                element("h2", chapter.title, class_="target"),
                element("p", f"{chapter.kind}. {chapter.lead}", class_="note"),
                _tiles(chapter.facts),
            ]
        )
    sections = [_section(f"s{number}-{i}", each) for i, each in enumerate(chapter.sections)]
    return joined([opening, sections, _notes(chapter.notes)])


def _section(anchor: str, section: Section) -> Markup:
    return element(
        "section",
        element("h2", section.title, id=anchor),
        element("p", section.about) if section.about else None,
        *section.content,
        aria_labelledby=anchor,
    )


def _tiles(facts: Sequence[Fact]) -> Markup | None:
    if not facts:
        return None
    tiles = (
        element(
            "div",
            element("dt", each.name),
            element("dd", each.value, element("small", each.more) if each.more else None),
        )
        for each in facts
    )
    return element("dl", *tiles, class_="tiles")


def _notes(notes: Sequence[str]) -> Markup | None:
    if not notes:
        return None
    told = element("ul", *(element("li", each) for each in notes), class_="notes")
    return element("section", element("h2", "Notes"), told, aria_label="Notes")


def _style() -> str:
    light, dark = palette.variables(is_dark=False), palette.variables(is_dark=True)
    return (
        f":root{{color-scheme:light dark;{light}}}"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}"
        f"@media screen{{:root[data-theme=light]{{color-scheme:light;{light}}}"
        f":root[data-theme=dark]{{color-scheme:dark;{dark}}}}}"
        f"{_asset('page.css')}{palette.classes()}"
    )


def _asset(name: str) -> str:
    return files(_PACKAGE).joinpath(name).read_text(encoding="utf-8")


def _allowed(text: str) -> str:
    """What lets this text of style or script pass, and no other."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
