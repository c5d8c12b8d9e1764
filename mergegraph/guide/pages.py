"""Pages on the bundled methods, in Markdown: `python -m mergegraph.guide.pages DIRECTORY`."""

from __future__ import annotations

import re
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path

from mergegraph.guide.describing import Description, by_group, describe, is_bundled
from mergegraph.guide.listing import formula_lines, shown
from mergegraph.plugins import Plugins, installed_plugins

_ORIGIN = "<!-- written by `make methods` from the methods' docstrings and signatures -->"
_WIDTH = 88  # of formulas
_INDEX = """\
# The methods, by group

The pages say what `mergegraph methods NAME` says. What the methods came to on one family of models
is in [methods.md](../methods.md).

In formulas θ is the merged tensor, θ₀ that of the base, θᵢ that of model i; τᵢ = θᵢ − θ₀ is its
task vector, wᵢ its weight. ⊙ multiplies entry by entry; ‖·‖ is the length of a tensor taken as one
vector. A pass reads what a tensor is made of once, strip by strip; passes are counted at the values
that are recommended.
"""
_BASE = {"needed": " and a base", "optional": ", with or without a base", "none": ""}


def main() -> None:
    """Write the pages of the bundled methods."""
    parser = ArgumentParser(prog="python -m mergegraph.guide.pages", description=__doc__)
    parser.add_argument("directory", type=Path)
    directory = parser.parse_args().directory
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in pages(installed_plugins()).items():
        (directory / name).write_text(text, encoding="utf-8")


def pages(plugins: Plugins) -> dict[str, str]:
    """The text of each page by the name of its file: one for each bundled method, and an index."""
    bundled = [name for name in plugins.methods if is_bundled(plugins.package(name))]
    found = {name: describe(plugins, name) for name in bundled}
    return {
        "index.md": "\n".join([_ORIGIN, "", _INDEX, *_index(plugins, found)]).rstrip() + "\n",
        **{f"{name}.md": _page(each) for name, each in found.items()},
    }


def _index(plugins: Plugins, found: dict[str, Description]) -> Iterator[str]:
    for group, methods in by_group(plugins, found):
        yield from (f"## {group.capitalize()}", "", "| method | idea | takes | passes |")
        yield "|---|---|---|---|"
        for method in methods:
            each = found[method.name]
            takes = f"{each.models}{_BASE[each.base]}"
            link = f"[{each.name}]({each.name}.md)"
            yield _row(link, _safe(each.idea), takes, str(each.passes or ""))
        yield ""


def _page(each: Description) -> str:
    """The page of one method."""
    lines = [_ORIGIN, "", f"# {each.name}", "", _safe(each.idea), ""]
    if each.formula:
        lines += ["```text", *formula_lines(each, _WIDTH), "```", ""]
    for note in each.notes:
        lines += [*_safe(note).splitlines(), ""]
    lines += ["| | |", "|---|---|"]
    lines += [_row(word, _linked(_safe(text))) for word, text in each.facts.items()]
    lines += ["", *_parameters(each)]
    lines += ["## Recipe", "", "To be run as it is, on the demo family:", ""]
    lines += ["```yaml", *each.recipe.splitlines(), "```", ""]
    name = f"recipes/{each.name}.yaml"
    lines += [f"Another, with the reasons: [{name}](../../{name}). [All methods](index.md)."]
    return "\n".join(lines) + "\n"


def _parameters(each: Description) -> Iterator[str]:
    if each.parameters:
        yield from ("## Parameters", "")
        yield "| name | meaning | values | default | recommended |"
        yield "|---|---|---|---|---|"
    for parameter in each.parameters:
        values = parameter.values + (", per model" if parameter.per_model else "")
        default = "required" if parameter.required else shown(parameter.default)
        advice = "" if parameter.recommended is None else shown(parameter.recommended)
        name, meaning = f"`{parameter.name}`", _safe(parameter.meaning)
        yield _row(name, meaning, _safe(values), default, advice)
    yield from [""] if each.parameters else []
    for name, why in each.without_effect.items():
        yield from (f"`{name}` is accepted and changes nothing: {_safe(why)}.", "")


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _safe(text: str) -> str:
    """A text whose signs Markdown takes for nothing else; what is in backticks stays code."""
    parts = text.split("`")
    parts[::2] = [re.sub(r"([*<_\[])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)


def _linked(text: str) -> str:
    return re.sub(r"arXiv:(\d{4}\.\d{4,5})", r"[\g<0>](https://arxiv.org/abs/\1)", text)


if __name__ == "__main__":
    main()
