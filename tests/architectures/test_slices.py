"""Layers of two models in one, of many architectures: they load, and answer as put together."""

from __future__ import annotations

import pytest
import torch
from kinds import KINDS

STACKS = [(kind, i) for kind, each in KINDS.items() for i in range(len(each.stacks))]
every_stack = pytest.mark.parametrize(("kind", "i"), STACKS)


def slices_of(members, picks):
    """Slices that give the layers picked, each of one model."""
    return [
        {"sources": [{"model": members[model].path, "layer_range": [at, at + 1]}]}
        for model, at in picks
    ]


def recipe_of(kind, i, members, picks):
    """A recipe for the layers picked in one stack; all else is the first model's."""
    stack = KINDS[kind].stacks[i]
    slices = slices_of(members, picks)
    modules = {stack.stored: {"slices": slices}}
    return {"merge_method": "passthrough", "base_model": members[0].path, "modules": modules}


def fitting(picks, count):
    """Picks of a shorter stack, for one that has fewer layers than four."""
    return tuple(
        (model, at - 4 + count if at else 0) for model, at in picks if at == 0 or at > 4 - count
    )


@every_stack
def test_layers_of_two_models_answer_as_put_together_in_memory(
    kind, i, family, merged, loaded, answer, assembled
):
    """More layers than either has, and fewer; everything else is the first model's."""
    members = family(kind)[1:]
    stack = KINDS[kind].stacks[i]
    count = len(members[0].model.get_submodule(stack.path))
    picks = {way: fitting(getattr(KINDS[kind], way), count) for way in ("deep", "short")}
    recipes = {way: recipe_of(kind, i, members, picks[way]) for way in picks}
    for way, path in merged(recipes, whole=False).items():
        expected = answer(kind, assembled(kind, stack, picks[way]))
        torch.testing.assert_close(answer(kind, loaded(kind, path)), expected)
