"""Reading recipe files: every problem of the text found, each with its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mergegraph.errors import MergeGraphError
from mergegraph.methods import Method
from mergegraph.recipe.holes import holes_of
from mergegraph.recipe.linking import problems_between, result_of, standing, unused
from mergegraph.recipe.private import secret_lines, secret_values
from mergegraph.recipe.settings import apply_setting
from mergegraph.recipe.source import read_documents
from mergegraph.recipe.stages import StageReader
from mergegraph.recipe.tree import Recipe

LARGEST = 1_000_000


def read_recipe(file: str, methods: Mapping[str, Method], settings: Sequence[str] = ()) -> Recipe:
    """Read a recipe file; `settings` are `KEY=VALUE` changes to its result document.

    What is wrong with the text is in the recipe's `problems`; raises MergeGraphError only if
    there is no YAML to speak of.
    """
    return parse_recipe(file, text_of(file), methods, settings)


def text_of(file: str) -> str:
    """The text of a recipe file; raises MergeGraphError if it cannot be read."""
    try:
        with Path(file).open("rb") as opened:  # it may be a pipe, and without an end
            content = opened.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise MergeGraphError(f"{file}: too large for a recipe")
        text = content.decode("utf-8-sig")
        return text.replace("\r\n", "\n").replace("\r", "\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise MergeGraphError(f"{file}: cannot be read: {reason}") from error


def parse_recipe(
    file: str, text: str, methods: Mapping[str, Method], settings: Sequence[str] = ()
) -> Recipe:
    """The recipe that a text holds; see `read_recipe`.

    A stage that cannot be made out, or stands on one, is not among the recipe's stages.
    """
    documents = read_documents(file, text)
    if not documents:
        raise MergeGraphError(f"{file}: holds no recipe")
    for setting in settings:
        apply_setting(setting, documents)
    if holes := [each for document in documents for each in holes_of(document)]:
        return Recipe(file=file, text=text, stages=(), result=None, problems=tuple(holes))
    readers = [StageReader(document, methods) for document in documents]
    stages = [reader.stage for reader in readers if reader.stage is not None]
    problems = [problem for reader in readers for problem in reader.problems]
    problems += [each for document in documents for each in secret_values(document)]
    problems += problems_between(stages)
    if len(stages) == len(documents):
        problems += unused(stages)
    lost = {reader.name for reader in readers if reader.name and reader.stage is None}
    return Recipe(
        file=file,
        text=text,
        stages=tuple(standing(stages, lost)),
        result=result_of(stages),
        notes=(*secret_lines(file, text), *(note for each in readers for note in each.notes)),
        problems=tuple(problems),
    )
