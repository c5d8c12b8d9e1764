"""Whatever a recipe looks like, wherever its holes are: the filled text holds what it should."""

from __future__ import annotations

import random

import pytest
import yaml

from mergegraph.evolve.genes import switched_on
from mergegraph.recipe.source import read_documents

WORDS = [1, 2.5, "ties", "a b", True, None, "no: x", "# y", "it's", "ü😀"]


class Listed(list):
    """What a subset comes to: in a list, parts of that list."""


def drawn(draws, depth, names):
    """Data of lists, mappings and holes, in holes as well; what is chosen between differs."""
    kind = draws.random()
    if depth == 0 or kind < 0.3:
        return draws.choice(WORDS)
    if kind < 0.5:
        return {f"k{i}": drawn(draws, depth - 1, names) for i in range(draws.randint(1, 3))}
    if kind < 0.65:
        return [drawn(draws, depth - 1, names) for _ in range(draws.randint(1, 3))]
    name = f"h{len(names)}"
    names.append(name)
    if kind < 0.75:
        return {"search": [0, draws.choice([1, 10])], "name": name}
    form, more = draws.choice([("choices", {}), ("subset", {"least": 1})])
    rest = [drawn(draws, depth - 1, names) for _ in range(2 if more else 1)]
    return {"search": {form: [f"of {name}", *rest], **more}, "name": name}


def expected(data, values):
    """The data with values in the place of holes."""
    if isinstance(data, list):
        found = [(each, expected(each, values)) for each in data]
        return [v for _, each in found for v in (each if isinstance(each, Listed) else [each])]
    if not isinstance(data, dict):
        return data
    if "search" not in data:
        return {key: plain(expected(each, values)) for key, each in data.items()}
    given, value = data["search"], values[data["name"]]
    if isinstance(given, list):
        return value
    if "choices" in given:
        return plain(expected(given["choices"][value], values))
    return Listed(expected([given["subset"][i] for i in value], values))


def plain(value):
    return list(value) if isinstance(value, Listed) else value


def values_of(space, point):
    """What each hole is filled with, by its name."""
    at = {gene.name: (gene, each) for gene, each in zip(space.genes, point, strict=True)}
    found = {}
    for hole in space.holes:
        gene, each = at[hole.genes[0].name]
        found[gene.name.partition(".")[0]] = gene.value(each)
        if hole.kind == "subset":
            coordinates = [at[other.name][1] for other in hole.genes]
            name = gene.name.partition(".")[0]
            found[name] = switched_on(coordinates, hole.least, hole.most)
    return found


@pytest.mark.parametrize("seed", range(80))
def test_a_filled_text_holds_the_values(space, seed):
    draws = random.Random(seed)
    names = ["h"]
    data = {"first": {"search": [0, 1], "name": "h"}}
    data |= {f"k{i}": drawn(draws, 4, names) for i in range(2)}
    text = yaml.safe_dump(
        data,
        default_flow_style=draws.choice([None, False, True, False]),
        indent=draws.choice([2, 4]),
        allow_unicode=True,
        sort_keys=False,
        width=draws.choice([40, 10_000]),
    )
    made = space(text)
    point = tuple(each.within(draws.random()) for each in made.genes)
    found = read_documents("r", made.filled(point).text)[0]
    assert not found.problems
    assert found.data == expected(data, values_of(made, point))
