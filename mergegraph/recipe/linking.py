"""What the stages of a recipe are to each other."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from mergegraph.errors import Problem
from mergegraph.recipe.tree import Stage


def result_of(stages: Sequence[Stage]) -> Stage | None:
    """The unnamed stage, or else the last."""
    unnamed = [stage for stage in stages if stage.name is None]
    return unnamed[0] if unnamed else stages[-1] if stages else None


def standing(stages: Sequence[Stage], lost: Collection[str]) -> list[Stage]:
    """The stages that do not stand on a lost one."""
    gone = set(lost)
    found = list(stages)
    while broken := [s for s in found if any(s.stands_on(gone))]:
        gone |= {stage.name for stage in broken if stage.name is not None}
        found = [stage for stage in found if stage not in broken]
    return found


def problems_between(stages: Sequence[Stage]) -> Iterator[Problem]:
    """Names given twice, results given twice, and circles."""
    named: dict[str, Stage] = {}
    for stage in stages:
        if stage.name in named:
            yield Problem(stage.place, f"two stages are named '{stage.name}'")
        elif stage.name is not None:
            named[stage.name] = stage
    for stage in [stage for stage in stages if stage.name is None][1:]:
        yield Problem(stage.place, "only one document may be without a name")
    yield from _circles(named)


def unused(stages: Sequence[Stage]) -> Iterator[Problem]:
    """Stages that come to nothing."""
    names = {stage.name for stage in stages if stage.name}
    used = {name for stage in stages for name in stage.stands_on(names)}
    for stage in stages:
        if stage.name and stage.name not in used and not stage.out:
            if stage is result_of(stages):
                continue
            fact = f"nobody uses stage '{stage.name}'; use it, give it 'out', or drop it"
            yield Problem(stage.place, fact)


def _circles(named: Mapping[str, Stage]) -> Iterator[Problem]:
    """Stages that stand on themselves; each circle is told once."""
    done: set[str] = set()
    for first in named:
        path: list[tuple[str, Iterator[str]]] = [] if first in done else [_step(named, first)]
        while path:
            name, models = path[-1]
            above = [each for each, _ in path]
            model = next(models, None)
            if model is None:
                done.add(name)
                path.pop()
            elif model in above:
                yield Problem(named[model].place, _circle((*above[above.index(model) :], model)))
            elif model not in done:
                path.append(_step(named, model))


def _circle(names: Sequence[str]) -> str:
    if len(set(names)) == 1:
        return f"stage '{names[0]}' stands on itself; a directory of that name is ./{names[0]}"
    return f"stages go in a circle: {' → '.join(names)}"


def _step(named: Mapping[str, Stage], name: str) -> tuple[str, Iterator[str]]:
    return name, iter(dict.fromkeys(named[name].stands_on(named)))
