"""Checking a space: every choice can be merged, as far as headers tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from mergegraph.errors import MergeGraphError
from mergegraph.evolve.genes import Point
from mergegraph.evolve.sampling import RandomSampler
from mergegraph.evolve.space import Space
from mergegraph.recipe import Recipe
from mergegraph.recipe.tree import stage_of
from mergegraph.search.compiling import Asked, Compiler

_TRIES = 8  # points at which it is tried whether a recipe can be made at all
_DRAWN = 200  # points of which those are looked for


def variations(space: Space) -> Iterator[tuple[str, int, Point]]:
    """Every choice of a space, in words, with its gene's number, and all else as at the start."""
    start = space.start
    for i, gene in enumerate(space.genes):
        if gene.form == "choice":
            for level, label in enumerate(gene.choices or ()):
                point = (*start[:i], level, *start[i + 1 :])
                yield f"where {gene.name} is {label}", i, point
        elif gene.form == "switch":
            yield f"with {gene.name}", i, (*start[:i], 1.0, *start[i + 1 :])


def check_recipes(file: str, space: Space, compiler: Compiler, place: Path) -> tuple[Recipe, ...]:
    """Recipes of a space, with every choice in one of them.

    Raises MergeGraphError if a choice cannot be merged, whatever else is chosen, as headers tell.
    """
    made: list[Recipe] = []
    for told, gene, point in (("", -1, space.start), *variations(space)):
        is_choice = gene < 0 or space.genes[gene].form == "choice"
        problem: MergeGraphError | None = None
        for each in _points(space, gene, point):
            try:
                asked = Asked(Path(file).stem, space.filled(each).text, file)
                made.append(
                    compiler.compile(asked, place).recipe if is_choice else compiler.parsed(asked)
                )
            except MergeGraphError as error:
                problem = problem or error
            else:
                break
        else:
            if problem is not None and is_choice:
                raise _never(problem, told)
    return tuple(made)


def models_of(recipes: Iterable[Recipe]) -> Iterator[str]:
    """The models that recipes name, their bases among them, and that are no stages of them."""
    for recipe in recipes:
        stages = [stage.name for stage in recipe.stages if stage.name]
        for stage in recipe.stages:
            yield from (model for model, _ in stage.models() if stage_of(model, stages) is None)


def _never(problem: MergeGraphError, told: str) -> MergeGraphError:
    """What to tell of a choice with which nothing can be merged."""
    if not told:
        return problem
    remedy = "what only some choices take goes with them into <<: {search: [{...}, {...}]}"
    return MergeGraphError(*(f"{line} ({told})" for line in str(problem).splitlines()), remedy)


def _points(space: Space, gene: int, point: Point) -> Iterator[Point]:
    """A point and some anywhere, as it is in one gene, where that has a say."""
    drawn = RandomSampler(space.genes, seed=0, population=_DRAWN).ask()
    beside = (tuple(point[i] if i == gene else x for i, x in enumerate(each)) for each in drawn)
    return islice((p for p in (point, *beside) if gene < 0 or _has_say(space, gene, p)), _TRIES)


def _has_say(space: Space, gene: int, point: Point) -> bool:
    """Whether a gene has a say at a point, or no recipe is there."""
    try:
        return space.genes[gene].name in space.filled(point).values
    except MergeGraphError:
        return True
