"""The installed evaluators as text for people, and as JSON for programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from mergegraph.evaluators import Evaluator
from mergegraph.guide.describing import facts_of, is_bundled
from mergegraph.guide.listing import ENDLESS, folded, json_of, row, values_of
from mergegraph.parameters import lines_on
from mergegraph.plugins import Plugins


def evaluators_text(plugins: Plugins, width: int = ENDLESS) -> str:
    """A line for each evaluator; then what could not be loaded."""
    margin = max(map(len, plugins.evaluators), default=0) + 4
    lines = []
    for name, each in plugins.evaluators.items():
        package = plugins.evaluator_packages[name]
        told = each.summary if is_bundled(package) else f"{each.summary} [{package}]"
        lines += row(f"  {name}", told, margin, width)
    lines += ["", "One evaluator in full: mergegraph evaluators NAME"] if lines else []
    return "\n".join([*lines, *(["", *plugins.broken] if plugins.broken else [])])


def evaluator_text(plugins: Plugins, name: str, width: int) -> str:
    """One evaluator: what it finds, the words for it, and its parameters."""
    found = plugins.evaluators[name]
    facts = {"words": _form(found), **_facts(found), "package": plugins.evaluator_packages[name]}
    margin = max(map(len, facts)) + 2
    blocks = [[name], *(folded(each, width) for each in _paragraphs(found))]
    blocks.append([line for word, text in facts.items() for line in row(word, text, margin, width)])
    blocks.append(_parameters(found, width))
    return "\n\n".join("\n".join(block) for block in blocks if block)


def evaluators_json(plugins: Plugins) -> str:
    """Everything about every evaluator."""
    found = [_told(plugins, name) for name in plugins.evaluators]
    return json_of({"evaluators": found, "broken": plugins.broken})


def evaluator_json(plugins: Plugins, name: str) -> str:
    """Everything about one evaluator."""
    return json_of(_told(plugins, name))


def _told(plugins: Plugins, name: str) -> dict[str, Any]:
    found = plugins.evaluators[name]
    return {
        "name": name,
        "package": plugins.evaluator_packages[name],
        "about": _paragraphs(found),
        "splits": found.splits,
        "main": found.main,
        "lower_is_better": sorted(found.lower_is_better),
        "parameters": [asdict(facts_of(each)) for each in found.parameters.values()],
    }


def _paragraphs(found: Evaluator) -> list[str]:
    """Its docstring without what is said of parameters, which has a place of its own."""
    text = found.doc
    for name in found.parameters:
        text = lines_on(name).sub("", text)
    return [each for each in text.strip().split("\n\n") if each.strip()]


def _form(found: Evaluator) -> str:
    settings = "[,PARAMETER=VALUE...]" if found.parameters else ""
    return f"{found.name}{settings}{'[:DATA]' if found.splits else ':DATA'}"


def _facts(found: Evaluator) -> dict[str, str]:
    """What it says of its data and its scores, as far as it says something."""
    facts = {}
    if found.splits:
        facts["data"] = f"chooses by {found.splits[0]}, reports with {found.splits[1]}"
    if found.main:
        way = "less" if found.main in found.lower_is_better else "more"
        facts["score"] = f"{found.main}, of which {way} is better"
    return facts


def _parameters(found: Evaluator, width: int) -> list[str]:
    margin = max(map(len, found.parameters), default=0) + 4
    lines = ["parameters" if found.parameters else "parameters: none"]
    for each in map(facts_of, found.parameters.values()):
        lines += row(f"  {each.name}", values_of(each), margin, width)
        lines += row("", each.meaning, margin, width) if each.meaning else []
    return lines
