"""The installed methods as text for people, and as JSON for programs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from textwrap import wrap
from typing import Any

from mergegraph.guide.describing import Description, ParameterFacts, by_group, describe, is_bundled
from mergegraph.guide.example import written
from mergegraph.plugins import Plugins

ENDLESS = 10**6  # columns of a line that is not folded
_WHOLE_WORDS: Mapping[str, Any] = {"break_long_words": False, "break_on_hyphens": False}


def methods_text(plugins: Plugins, width: int = ENDLESS) -> str:
    """A line for each method under the name of its group; then what could not be loaded."""
    margin = max(map(len, plugins.methods), default=0) + 4
    lines = []
    for group, methods in by_group(plugins, plugins.methods):
        lines += ["", group]
        for each in methods:
            package = plugins.package(each.name)
            told = each.summary if is_bundled(package) else f"{each.summary} [{package}]"
            lines += row(f"  {each.name}", told.strip(), margin, width)
    lines += ["", "One method in full: mergegraph methods NAME"] if lines else []
    lines += ["", *plugins.broken] if plugins.broken else []
    return "\n".join(lines[1:])


def method_text(plugins: Plugins, name: str, width: int) -> str:
    """One method: what it computes, what it takes, its parameters, and a recipe to begin with."""
    each = describe(plugins, name)
    blocks = [
        [name],
        folded(each.idea, width),
        formula_lines(each, width, "    "),
        *(folded(note, width) for note in each.notes),
        [line for word, text in each.facts.items() for line in row(word, text, 10, width)],
        list(_parameters(each, width)),
        ["recipe, for mergegraph run FILE --out DIRECTORY"],
        each.recipe.splitlines(),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def methods_json(plugins: Plugins) -> str:
    """Everything about every method."""
    methods = [asdict(describe(plugins, name)) for name in plugins.methods]
    return json_of({"methods": methods, "broken": plugins.broken})


def method_json(plugins: Plugins, name: str) -> str:
    """Everything about one method."""
    return json_of(asdict(describe(plugins, name)))


def shown(value: Any) -> str:
    """A parameter's value in a sentence."""
    return "empty" if value is None else value if isinstance(value, str) else written(value)


def formula_lines(each: Description, width: int, margin: str = "") -> list[str]:
    """The formula, a line for each of its parts, and what its symbols stand for."""
    if not each.formula:
        return []
    parts = [each.formula]
    if not _keeps_lines(each.formula):
        told = " ".join(each.formula.split())
        together = re.sub(r" (?==)|(?<=[=+−/<>≤≥]) ", "\N{NO-BREAK SPACE}", told)
        parts = together.replace("; ", ";\n").splitlines()
    parts += [f"({each.legend})"] if each.legend else []
    lines = [line for part in parts for line in folded(part, width, margin)]
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]


def _keeps_lines(paragraph: str) -> bool:
    """Whether a paragraph's lines are to stay as they are: it has a list, or indents some."""
    return any(line.startswith((" ", "- ")) for line in paragraph.splitlines())


def folded(paragraph: str, width: int, margin: str = "") -> list[str]:
    """A paragraph in lines of a width; lists and what else is set in lines keep theirs."""
    lines = paragraph.splitlines()
    if not _keeps_lines(paragraph):
        lines = [" ".join(lines)]
    return [part for line in lines for part in _folded_line(line, width, margin)]


def _folded_line(line: str, width: int, margin: str) -> list[str]:
    inside = len(line) - len(line.lstrip(" -"))
    hanging = margin + " " * inside
    return wrap(line, width, initial_indent=margin, subsequent_indent=hanging, **_WHOLE_WORDS)


def row(word: str, text: str, margin: int, width: int) -> list[str]:
    """A word, and beside it a text in lines of its own."""
    lines = wrap(text, max(width - margin, 20), **_WHOLE_WORDS) or [""]
    first, *others = lines
    return [f"{word:<{margin}}{first}".rstrip(), *(" " * margin + line for line in others)]


def _parameters(each: Description, width: int) -> Iterator[str]:
    yield "parameters" if each.parameters or each.without_effect else "parameters: none"
    names = [*(parameter.name for parameter in each.parameters), *each.without_effect]
    margin = max(map(len, names), default=0) + 4
    for parameter in each.parameters:
        yield from row(f"  {parameter.name}", values_of(parameter), margin, width)
        if parameter.meaning:
            yield from row("", parameter.meaning, margin, width)
    for name, why in each.without_effect.items():
        yield from row(f"  {name}", f"accepted, changes nothing: {why}", margin, width)


def values_of(parameter: ParameterFacts) -> str:
    """What a parameter may be, and what it is if nothing is said."""
    words = [parameter.values]
    if parameter.per_model:
        words.append("per model")
    words.append("required" if parameter.required else f"default {shown(parameter.default)}")
    if parameter.recommended is not None:
        words.append(f"recommended {shown(parameter.recommended)}")
    return ", ".join(words)


def json_of(found: Mapping[str, Any]) -> str:
    """What was found, for programs."""
    return json.dumps(found, indent=2, ensure_ascii=False)
