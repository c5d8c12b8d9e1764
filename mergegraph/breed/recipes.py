"""Members as recipes: a stage for each ancestor, on end, so that one pass makes them all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mergegraph.breed.defaults import AVERAGE
from mergegraph.breed.members import Birth

Weights = Mapping[str, float]


@dataclass(frozen=True)
class Merging:
    """How members are merged.

    Every stage states the dtype it is rounded to: so it means the same to the stages after it,
    whether it was stored on the way or not.
    """

    method: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    base: str | None = None
    dtype: str | None = None
    seed: int = 0


def recipe_text(name: str, births: Mapping[str, Birth], merging: Merging) -> str:
    """The recipe of a member: its ancestors in the order of their births, itself the last.

    Stages are named by those they make, the last one, too: what draws at random draws by its name.
    """
    if not births[name].parents:
        return averaged_text([name], None)
    return stages_text([name], births, merging)


def stages_text(names: Iterable[str], births: Mapping[str, Birth], merging: Merging) -> str:
    """The stages of some members and of all that they stand on."""
    wanted = {each for name in names for each in _ancestors(name, births)}
    stages = [each for each in births.values() if each.name in wanted and each.parents]
    return "---\n".join(stage_text(each.name, each.parents, merging) for each in stages)


def stage_text(name: str | None, models: Sequence[str], merging: Merging) -> str:
    """One stage that merges models, as a document."""
    lines = [f"name: {_told(name)}"] * (name is not None)
    lines += [f"merge_method: {_told(merging.method)}"]
    lines += [f"base_model: {_told(merging.base)}"] * (merging.base is not None)
    lines += ["models:", *(f"  - model: {_told(each)}" for each in models)]
    return _document([*lines, *_parameters(merging.parameters), *_ending(merging)])


def averaged_text(models: Sequence[str], dtype: str | None) -> str:
    """The plain average of models; of one model itself."""
    return stage_text(None, models, Merging(AVERAGE, {"weight": 1}, dtype=dtype))


def divided_text(bodies: Weights, heads: Mapping[str, str]) -> str:
    """The average of bodies, each with its weight, and heads of one model each.

    Heads are prefixes of names. They come first: what comes first says what the result is like.
    """
    if not heads:
        lines = [f"merge_method: {AVERAGE}", "models:"]
        return _document([*lines, *_weighted(bodies, 2), "on_missing: drop"])
    lines = [f"merge_method: {AVERAGE}", "modules:"]
    for head, model in heads.items():
        lines += [f"  {_told(head)}:", "    models:", *_weighted({model: 1}, 6)]
    lines += ["  default:", "    models:", *_weighted(bodies, 6), "on_missing: drop"]
    return _document(lines)


def _ancestors(name: str, births: Mapping[str, Birth]) -> set[str]:
    """A member and all that it stands on."""
    found: set[str] = set()
    left = [name]
    while left:
        each = left.pop()
        if each not in found:
            found.add(each)
            left += births[each].parents
    return found


def _weighted(weights: Weights, margin: int) -> Iterator[str]:
    for model, weight in weights.items():
        yield f"{' ' * margin}- model: {_told(model)}"
        yield f"{' ' * margin}  parameters: {{weight: {weight:g}}}"


def _parameters(values: Mapping[str, Any]) -> list[str]:
    told = [f"  {_told(name)}: {_told(value)}" for name, value in sorted(values.items())]
    return ["parameters:", *told] if told else []


def _ending(merging: Merging) -> Iterator[str]:
    if merging.dtype is not None:
        yield f"out_dtype: {merging.dtype}"
    yield f"seed: {merging.seed}"


def _told(value: Any) -> str:
    """A value as YAML: as JSON, but for words that need no quotes."""
    is_word = isinstance(value, str) and value.replace("-", "").replace("_", "").isalpha()
    return (
        str(value) if is_word and not _is_special(value) else json.dumps(value, ensure_ascii=False)
    )


def _is_special(word: str) -> bool:
    """Whether YAML takes a word for something else."""
    return word.lower() in ("true", "false", "null", "yes", "no", "on", "off", "y", "n")


def _document(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"
