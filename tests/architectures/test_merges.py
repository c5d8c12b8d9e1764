"""Merges of many architectures: they load, and answer as the same arithmetic in memory does."""

from __future__ import annotations

import copy
import re

import pytest
import torch
from kinds import KINDS

DTYPES = {"half": torch.bfloat16}

every_kind = pytest.mark.parametrize("kind", KINDS)


def of_tensors(member, tensors, dtype=torch.float32):
    """A model of the tensors of files, loaded without a file in a dtype."""
    config = copy.deepcopy(member.model.config)
    door = type(member.model).from_pretrained
    return door(None, config=config, state_dict=tensors, dtype=dtype).eval().float()


EXPERTS = re.compile(r"experts\.[a-z_]+$|moe\.(?:in|out)put_linear")  # stored in one tensor


def by_name(formula, *states):
    """What a formula makes of the tensors of some states; whole numbers are the first's."""
    return {
        name: of_experts(formula, name, *(each[name].double() for each in states)).to(first.dtype)
        if first.is_floating_point()
        else first
        for name, first in states[0].items()
    }


def of_experts(formula, name, *tensors):
    """What a formula makes of tensors, or of every expert in them."""
    if not EXPERTS.search(name):
        return formula(*tensors)
    return torch.stack([formula(*experts) for experts in zip(*tensors, strict=True)])


def ties(base, *models, density=0.6):
    """TIES with equal weights, as its paper has it; scalars are never dropped."""
    changes = []
    for model in models:
        change = model - base
        kept = max(1, int(density * change.numel()))
        order = change.flatten().abs().argsort(descending=True, stable=True)
        mask = torch.zeros(change.numel(), dtype=torch.float64)
        mask[order[:kept]] = 1
        changes.append(change * mask.reshape(change.shape))
    elected = torch.where(sum(changes) >= 0, 1.0, -1.0)
    votes = [(each.sign() == elected).double() for each in changes]
    count = torch.stack(votes).sum(0).clamp(min=1)
    return base + sum(vote * each for vote, each in zip(votes, changes, strict=True)) / count


def slerp(a, b, t=0.4):
    """A part of the way from one tensor to another, on the sphere."""
    lengths = a.norm() * b.norm()
    if not lengths:
        return (1 - t) * a + t * b
    angle = ((a * b).sum() / lengths).clamp(-1, 1).arccos()
    if angle.cos().abs() > 0.9995:
        return (1 - t) * a + t * b
    return (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)


def mean(a, b, weight=0.3):
    """The weighted mean."""
    return weight * a + (1 - weight) * b


def recipes_of(base, one, other):
    """A merge of each sort."""
    both = [{"model": one.path}, {"model": other.path}]
    weighted = [
        {"model": one.path, "parameters": {"weight": 0.3}},
        {"model": other.path, "parameters": {"weight": 0.7}},
    ]
    half = {"merge_method": "linear", "models": both, "parameters": {"weight": 0.5}}
    return {
        "mean": {"merge_method": "linear", "models": weighted},
        "half": half | {"dtype": "bfloat16"},
        "slerp": {
            "merge_method": "slerp",
            "base_model": one.path,
            "models": both,
            "parameters": {"t": 0.4},
        },
        "ties": {
            "merge_method": "ties",
            "base_model": base.path,
            "models": both,
            "parameters": {"weight": 1, "density": 0.6},
        },
    }


def halfway(a, b):
    """The mean of two tensors, rounded to bfloat16."""
    return mean(a, b, 0.5).bfloat16()


@every_kind
def test_merges_load_and_answer_as_the_same_arithmetic_in_memory(
    kind, family, merged, loaded, answer
):
    """The mean is that of the models' own tensors, the others are of those in files."""
    base, one, other = family(kind)
    found = merged(recipes_of(base, one, other), whole=True)
    expected = copy.deepcopy(one.model)
    expected.load_state_dict(by_name(mean, one.model.state_dict(), other.model.state_dict()))
    stored = [each.stored() for each in (base, one, other)]
    wanted = {
        "mean": expected,
        "half": of_tensors(one, by_name(halfway, *stored[1:]), torch.bfloat16),
        "slerp": of_tensors(one, by_name(slerp, *stored[1:])),
        "ties": of_tensors(base, by_name(ties, *stored)),
    }
    for sort, path in found.items():
        model = loaded(kind, path)
        assert {each.dtype for each in model.parameters()} == {DTYPES.get(sort, torch.float32)}
        given, right = answer(kind, model.float()), answer(kind, wanted[sort])
        torch.testing.assert_close(
            given, right, rtol=1e-4, atol=1e-4, msg=lambda m, s=sort: f"{s}: {m}"
        )
