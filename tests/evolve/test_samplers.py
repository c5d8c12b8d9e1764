"""Samplers ask the same points again, and find what is to be found."""

from __future__ import annotations

import pytest

from mergegraph import MergeGraphError
from mergegraph.evolve import genes
from mergegraph.evolve.sampling import GridSampler, front_of
from mergegraph.evolve.way import Way

GENES = (
    genes.steady("a", 0, 1, None, is_log=False),
    genes.steady("b", 1e-3, 1, None, is_log=True),
    genes.chosen("c", "xyzw", None, is_ordered=False),
    genes.stepped("d", range(5), None),
    genes.chosen("e", "xy", None, is_ordered=False),
)


class Space:
    genes = GENES


def loss(point):
    a, b, c, d, e = (gene.value(each) for gene, each in zip(GENES, point, strict=True))
    return (a - 0.3) ** 2 + (b - 0.01) ** 2 + (c != 2) + abs(d - 4) / 4 + (e == 0)


def searched(name, trials, *, seed=0):
    """All points that are asked, with those that fail left without a loss."""
    pytest.importorskip({"cmaes": "cmaes", "nsga2": "optuna"}.get(name, "numpy"))
    sampler = Way(name, seed, trials, points=3).begun(Space(), 1)
    asked = []
    while len(asked) < trials and (points := sampler.ask()):
        sampler.tell([(loss(each),) if each[0] < 0.9 else None for each in points])
        asked += points
    return asked


@pytest.mark.parametrize("name", ["cmaes", "nsga2", "random"])
def test_the_same_seed_asks_the_same_points(name):
    assert searched(name, 60) == searched(name, 60)
    assert searched(name, 60) != searched(name, 60, seed=1)


@pytest.mark.parametrize(("name", "good"), [("cmaes", 0.01), ("nsga2", 0.1), ("random", 0.5)])
def test_points_become_better(name, good):
    assert min(map(loss, searched(name, 300))) < good


def test_points_are_of_the_space():
    for point in searched("cmaes", 100):
        assert all(type(each) is int for each in point[2:])
        assert all(
            0 <= level < gene.levels for gene, level in zip(GENES[2:], point[2:], strict=True)
        )


@pytest.mark.parametrize("name", ["cmaes", "nsga2"])
def test_where_all_fail_the_search_goes_on(name):
    pytest.importorskip({"cmaes": "cmaes", "nsga2": "optuna"}[name])
    sampler = Way(name, 0, 100).begun(Space(), 1)
    for _ in range(3):
        sampler.tell([None for _ in sampler.ask()])
    assert sampler.ask()


def test_cmaes_begins_at_the_start_and_anew_where_it_has_ended():
    pytest.importorskip("cmaes")
    gene = genes.steady("a", 0, 1, 0.9, is_log=False)
    space = type("Space", (), {"genes": (gene,)})
    sampler = Way("cmaes", 0, 10).begun(space, 1)
    first = sampler.ask()
    assert len(first) == 4
    assert sum(each[0] for each in first) / 4 > 0.7
    sizes = set()
    for _ in range(150):
        sampler.tell([((each[0] - 0.5) ** 2,) for each in first])
        first = sampler.ask()
        sizes.add(len(first))
    assert {4, 8} <= sizes


def test_a_grid_has_every_choice_and_both_ends():
    asked = searched("grid", 10**6)
    assert len(asked) == len(set(asked)) == 3 * 3 * 4 * 3 * 2
    assert {each[0] for each in asked} == {0.0, 0.5, 1.0}
    assert {each[3] for each in asked} == {0, 2, 4}


def test_a_grid_has_no_values_twice():
    found = [
        [each.value(point[0]) for point in GridSampler([each], points=3).ask()]
        for each in (
            genes.density("d", 1.0),
            genes.weight("w", 1.0, may_be_negative=False),
            genes.weight("w", 1.0, may_be_negative=True),
        )
    ]
    assert found == [[0.0, 0.5, 1.0], [0.0, 1.0, 2.0], [-2.0, 0.0, 2.0]]


def test_a_grid_of_too_many_points_is_refused():
    with pytest.raises(MergeGraphError, match="take fewer --points"):
        GridSampler(GENES * 4, points=9)


def test_a_front_is_what_nothing_is_better_than():
    losses = [(1.0, 5.0), (2.0, 2.0), None, (3.0, 3.0), (5.0, 1.0), (2.0, 2.0)]
    assert front_of(losses) == [0, 1, 4]


def test_switches_keep_within_bounds():
    assert genes.switched_on([0.9, 0.2, 0.7], 1, 3) == [0, 2]
    assert genes.switched_on([0.1, 0.2, 0.2], 1, 3) == [1]
    assert genes.switched_on([0.9, 0.8, 0.95], 1, 2) == [0, 2]
