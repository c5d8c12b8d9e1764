"""Chat templates: how a conversation is written for a model."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from importlib.resources import files
from importlib.util import find_spec
from typing import Any

from mergegraph.errors import MergeGraphError, nearest
from mergegraph.models.model import Model, SideFiles
from mergegraph.vocabulary.reading import CONFIG, json_of, text_of

AUTO = "auto"
BUNDLED = ("alpaca", "chatml", "exaone", "llama3", "mistral")
FILE, OLD_FILE = "chat_template.jinja", "chat_template.json"
TEMPLATE_FILES = (FILE, OLD_FILE)
_FOLDER = "additional_chat_templates/"
_KEY = "chat_template"
_DEFAULT = "default"


def is_template(name: str) -> bool:
    """Whether a side file holds chat templates."""
    return name in TEMPLATE_FILES or name.startswith(_FOLDER)


def with_template(
    wanted: str, models: Sequence[Model], donor: Model
) -> tuple[SideFiles, tuple[str, ...]]:
    """The donor's side files with a chat template, and what is to be known about it.

    It is `auto`, one of the bundled ones, or the text of one; raises MergeGraphError otherwise.
    """
    if wanted == AUTO:
        return _most_common(models, donor)
    return _replaced(donor, _text(wanted))


def _text(wanted: str) -> str:
    """The text that is meant."""
    if wanted in BUNDLED:
        found = files("mergegraph.vocabulary") / "bundled" / f"{wanted}.jinja"
        return found.read_text(encoding="utf-8")
    if "{" not in wanted:
        remedy = nearest(wanted, [AUTO, *BUNDLED])
        raise MergeGraphError(
            f"chat_template '{wanted}' is neither a known one nor the text of a template{remedy}"
        )
    _check(wanted)
    return wanted


def _check(text: str) -> None:
    """See that a text is a template, where there is something that can tell."""
    if find_spec("jinja2") is None:
        return
    from jinja2 import Environment, TemplateSyntaxError

    try:
        # parsed as transformers does, with the tags that it adds; nothing is run
        Environment(extensions=["jinja2.ext.loopcontrols"], autoescape=True).parse(_known(text))
    except TemplateSyntaxError as error:
        line = f"line {error.lineno} of the template"
        raise MergeGraphError(f"chat_template is not Jinja: {error.message}, in {line}") from error
    except RecursionError as error:
        raise MergeGraphError("chat_template is not Jinja: nested too deeply") from error
    except ValueError as error:
        raise MergeGraphError("chat_template is not Jinja: a number is too long") from error


def _known(text: str) -> str:
    """A template without the tag that marks what a model wrote: only transformers knows it."""
    for tag in ("generation", "endgeneration"):
        for left in ("{%", "{%-"):
            for right in ("%}", "-%}"):
                text = text.replace(f"{left} {tag} {right}", "")
    return text


def _most_common(models: Sequence[Model], donor: Model) -> tuple[SideFiles, tuple[str, ...]]:
    """The template that most models have; of several the donor's, or else the first one's."""
    found = [(model, template_of(model)) for model in models]
    texts = [text.strip() for _, text in found if text and text.strip()]
    if not texts:
        return donor.sides, ("chat_template: no model has one, so the result has none",)
    counts = Counter(texts)
    most = max(counts.values())
    tied = [text for text in dict.fromkeys(texts) if counts[text] == most]
    own = (template_of(donor) or "").strip()
    chosen = own if own in tied else tied[0]
    having = next(model for model, text in found if text and text.strip() == chosen)
    sides, notes = _replaced(donor, next(t for m, t in found if m is having and t))
    told = f"chat_template: that of {having.reference}, as {most} of {len(models)} models have it"
    return sides, (told, *notes)


def template_of(model: Model) -> str | None:
    """A model's chat template; None if it has none."""
    text = text_of(model.sides, FILE)
    for name in () if text is not None else (CONFIG, OLD_FILE):
        found: Any = json_of(model, name).get(_KEY)
        if isinstance(found, list):
            named = [each for each in found if isinstance(each, dict)]
            defaults = [each.get("template") for each in named if each.get("name") == _DEFAULT]
            found = defaults[0] if defaults else None
        if isinstance(found, str):
            return found
    return text


def _replaced(donor: Model, text: str) -> tuple[SideFiles, tuple[str, ...]]:
    """Side files in which every place that may hold a template holds this one."""
    sides = donor.sides
    texts = {**(sides.texts or {}), FILE: text}
    notes = []
    for name in (CONFIG, OLD_FILE):
        if name in sides.names or name in texts:
            held = json_of(donor, name)
            if isinstance(held.get(_KEY), list):
                notes.append(
                    f"chat_template: the named templates of {donor.reference} are left out"
                )
            if name == OLD_FILE or _KEY in held:
                texts[name] = json.dumps({**held, _KEY: text}, indent=2, ensure_ascii=False) + "\n"
    more = [name for name in (*sides.names, *texts) if name.startswith(_FOLDER)]
    notes += [f"chat_template: {name} is left out" for name in more]
    texts = {name: each for name, each in texts.items() if name not in more}
    names = tuple(name for name in sides.names if name not in texts and name not in more)
    return SideFiles(sides.tree, names, texts), tuple(notes)
