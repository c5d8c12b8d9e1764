"""The worked numbers of the method reference on generations, soups and gains."""

from __future__ import annotations

from functools import partial
from statistics import fmean

import pytest
import torch
from examples import EXAMPLES

from mergegraph.breed.members import Birth, merge_gain
from mergegraph.breed.soup import greedy_soup
from mergegraph.breed.topk import Rules, generations

GOAL = torch.tensor([0.36, 0.33, 0.31], dtype=torch.float64)


class Toy:
    """Points on a plane: a merge is the middle of two, kinship the cosine."""

    def __init__(self, example: dict) -> None:
        points = [torch.tensor(each, dtype=torch.float64) for each in example["inputs"]["models"]]
        self.points = {f"m{i}": each for i, each in enumerate(points)}
        self.foundation = [Birth(name, 0) for name in self.points]
        params = example["params"]
        self.rules = Rules(
            k=params["k"],
            explores=params["explore"],
            from_top=params["candidates"] == "topk",
            max_generations=params["max_generations"],
            word="g",
        )

    def examine(self, births):
        for each in births:
            if each.parents:
                self.points[each.name] = sum(self.points[p] for p in each.parents) / 2
        return [-float((self.points[each.name] - GOAL).square().sum()) for each in births]

    def kinships(self, pairs):
        angle = partial(torch.nn.functional.cosine_similarity, dim=0)
        return [float(angle(self.points[a], self.points[b])) for a, b in pairs]

    def trace(self):
        return list(generations(self.foundation, self.rules, self.examine, self.kinships))


@pytest.mark.parametrize("name", ["kinship_greedy_plain", "kinship_greedy_explore"])
def test_topk_greedy(name):
    example = EXAMPLES[name]
    toy = Toy(example)
    found, expected = toy.trace()[1:], example["expected"]
    assert len(found) == len(expected["generations"])
    for each, wanted in zip(found, expected["generations"], strict=True):
        assert [b.name for b in each.births if not b.explores] == wanted["new"]
        explored = [[b.name, *b.parents] for b in each.births if b.explores]
        assert explored == ([wanted["explore"]] if wanted.get("explore") else [])
        assert [member.name for member in each.top] == wanted["topk"]
        if "best_score" in wanted:
            assert each.top[0].score == pytest.approx(wanted["best_score"], abs=1e-6)
    best = found[-1].top[0]
    assert best.name == expected["best"]
    assert toy.points[best.name].tolist() == pytest.approx(expected["best_vector"])


@pytest.mark.parametrize("run", ["greedy", "explore"])
def test_early_stop_looks_at_the_mean_of_the_top(run):
    """The top stays new and the scores rise, so that nothing but kinship can stop it."""
    example = EXAMPLES["kinship_early_stop_trace"]
    threshold = example["params"]["threshold"]
    told = iter(example["inputs"]["topk_pairwise_kinship"][run])
    wanted = example["expected"][run]
    best = iter(range(1000))
    rules = Rules(
        explores=False,
        is_kin=lambda mean: mean > threshold,
        max_generations=len(wanted["value"]),
    )
    foundation = [Birth(name, 0) for name in "abc"]
    found = list(
        generations(
            foundation, rules, lambda births: [next(best) for _ in births], lambda _: next(told)
        )
    )[1:]
    assert [each.kinship for each in found] == pytest.approx(wanted["value"])
    assert [each.stopped == "early stop" for each in found] == wanted["stop"]


def test_merge_gain():
    example = EXAMPLES["merge_gain"]
    found = merge_gain(example["inputs"]["merged"], example["inputs"]["parents"])
    assert found == pytest.approx(example["expected"], abs=example["tolerance"])


def average(models, chosen):
    return fmean(models[i][0] for i in chosen)


def test_greedy_soup():
    example = EXAMPLES["soup_greedy"]
    models, expected = example["inputs"]["models"], example["expected"]

    def score(chosen):
        return 1 - abs(average(models, chosen) - 2.4) / 10

    soup = greedy_soup([score([i]) for i in range(len(models))], score)
    assert list(soup.order) == expected["order"]
    assert list(soup.ingredients) == expected["ingredients"]
    for each, (candidate, value, is_accepted) in zip(soup.tries, expected["trace"], strict=True):
        assert (each.candidate, each.is_accepted) == (candidate, is_accepted)
        assert each.score == pytest.approx(value, abs=example["tolerance"])
    assert average(models, soup.ingredients) == expected["merged"][0]
    assert soup.score == pytest.approx(expected["score"])


@pytest.mark.parametrize(("accept", "taken"), [(">=", [0, 1]), (">", [0])])
def test_greedy_soup_accepts_ties_as_the_paper_says(accept, taken):
    example = EXAMPLES["soup_greedy_tie"]
    assert example["expected"]["ingredients"] == [0, 1]
    soup = greedy_soup([0.5, 0.5], lambda _chosen: 0.5, accept=accept)
    assert list(soup.ingredients) == taken
    assert average(example["inputs"]["models"], [0, 1]) == example["expected"]["merged"][0]
