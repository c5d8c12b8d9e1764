"""Laws of greedy soups, and a soup of real models."""

from __future__ import annotations

from math import isnan

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from mergegraph import pipeline
from mergegraph.breed.soup import greedy_soup

numbers = st.lists(st.one_of(st.none(), st.floats(-5, 5), st.just(float("nan"))), max_size=6)


@given(numbers, st.data(), st.sampled_from([">=", ">"]))
def test_soup_is_never_worse_than_the_best_model(scores, data, accept):
    tried = {}

    def examine(chosen):
        assert chosen not in tried
        tried[tuple(chosen)] = data.draw(st.one_of(st.none(), st.floats(-5, 5)))
        return tried[tuple(chosen)]

    soup = greedy_soup(scores, examine, accept=accept)
    known = [each for each in scores if each is not None and not isnan(each)]
    assert len(soup.order) == len(known)
    assert set(soup.ingredients) <= set(soup.order)
    assert len(soup.tries) == max(0, len(known) - 1)
    if known:
        assert soup.score >= max(known)
    if len(soup.ingredients) > 1:
        assert tried[soup.ingredients] == soup.score


def test_average_without_a_score_is_not_taken():
    assert greedy_soup([1.0, 0.5], lambda _: float("nan")).ingredients == (0,)
    assert greedy_soup([1.0, 0.5], lambda _: None).ingredients == (0,)


def test_soup_is_written_as_a_recipe_of_its_ingredients(search, seen, tmp_path):
    record = search.run(strategy="soup")
    assert record["ingredients"] == record["order"][:1] or record["best"].startswith("soup-")
    pipeline.run(search.folder / "best.yaml", out=tmp_path / "soup", threads=1)
    found = load_file(tmp_path / "soup" / "model.safetensors")["w"]
    parts = [
        load_file(tmp_path / name / "model.safetensors")["w"] for name in record["ingredients"]
    ]
    assert torch.equal(found, torch.stack(parts).float().mean(0).bfloat16())
    examined = next(t["w"] for name, _, t in seen if name == record["best"])
    assert torch.equal(found, examined)


def test_every_try_is_on_record(search, seen):
    record = search.run(strategy="soup")
    assert [each["candidate"] for each in record["tries"]] == record["order"][1:]
    taken = [each["candidate"] for each in record["tries"] if each["accepted"]]
    assert record["ingredients"] == [record["order"][0], *taken]
    count = len(seen)
    assert search.run(strategy="soup")["tries"] == record["tries"]
    assert len(seen) == count


@pytest.mark.parametrize("accept", [">=", ">"])
def test_rule_is_part_of_the_search(search, accept):
    assert search.run(strategy="soup", accept=accept)["accept"] == accept
