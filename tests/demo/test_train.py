"""Training of the demo family."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import torch

from mergegraph.demo.batch import make_batch
from mergegraph.demo.llama import Config
from mergegraph.demo.skills import SKILLS, draw, make_skills
from mergegraph.demo.tokenizer import END, PAD, VOCABULARY, encode
from mergegraph.demo.train import BASE, EXPERTS, expert_course, first_weights, train

SMALL = Config(len(VOCABULARY), 16, 24, 2, 2, 1, 8)
SHORT = replace(BASE, steps=4, batch=12)


def test_training_twice_gives_the_same_bytes():
    first, again = (train(first_weights(SMALL, seed=0), SMALL, SHORT) for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_another_seed_gives_other_weights():
    start = first_weights(SMALL, seed=0)
    first, other = (train(start, SMALL, replace(SHORT, seed=seed)) for seed in "ab")
    assert not torch.equal(first["lm_head.weight"], other["lm_head.weight"])


def test_training_leaves_what_it_starts_from_alone():
    start = first_weights(SMALL, seed=0)
    train(start, SMALL, SHORT)
    assert all(
        torch.equal(each, first_weights(SMALL, seed=0)[name]) for name, each in start.items()
    )


def test_the_rate_goes_up_and_then_down_to_nearly_zero():
    rates = [BASE.rate_at(step) for step in range(BASE.steps)]
    top = rates.index(max(rates))
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert 0 < rates[-1] < BASE.rate / 100


def test_an_expert_learns_mostly_its_skill_and_rehearses_the_others():
    for skill, seed in EXPERTS.values():
        shares = expert_course(skill, seed).shares
        assert set(shares) == set(SKILLS)
        assert max(shares, key=lambda name: shares[name]) == skill
        assert expert_course(skill, seed).modern == (skill,)


def test_only_answers_and_their_ends_are_learnt():
    problem = draw(make_skills()["north"], Random(0), held_out=False, is_modern=True)
    longer = replace(problem, answer=problem.answer + "aaa")
    batch = make_batch([problem, longer])
    assert batch.wanted[0][batch.is_answer[0]].tolist() == [*encode(problem.answer), END]
    assert batch.wanted[0][-3:].tolist() == [PAD] * 3
