"""The skills of the demo family."""

from __future__ import annotations

import subprocess
import sys
from random import Random

import pytest

from mergegraph.demo.skills import SKILLS, draw, make_skills
from mergegraph.demo.tokenizer import UNKNOWN, encode


def drawn(name, seed, count, *, held_out, is_modern=True):
    skill, random = make_skills()[name], Random(seed)
    return [draw(skill, random, held_out=held_out, is_modern=is_modern) for _ in range(count)]


@pytest.mark.parametrize("name", SKILLS)
def test_no_problem_is_both_trained_on_and_held_out(name):
    lessons = drawn(name, "lessons", 2000, held_out=False)
    exam = drawn(name, "exam", 2000, held_out=True)
    assert not {each.question for each in lessons} & {each.question for each in exam}


@pytest.mark.parametrize("name", SKILLS)
def test_one_seed_gives_one_list_of_problems(name):
    first, again, other = (drawn(name, seed, 50, held_out=True) for seed in ("a", "a", "b"))
    assert first == again != other


@pytest.mark.parametrize("name", SKILLS)
def test_a_question_has_one_modern_answer(name):
    found = drawn(name, "many", 3000, held_out=True)
    assert len({each.question for each in found}) == len(set(found))


@pytest.mark.parametrize("name", SKILLS)
def test_texts_of_all_ages_hold_old_forms_and_new_ones(name):
    language = make_skills()[name]
    found = drawn(name, "many", 3000, held_out=False, is_modern=False)
    forms = [
        form == language.new[word]
        for each in found
        for word, form in zip(each.question[2:-1].split(), each.answer.split(), strict=True)
    ]
    assert 0.6 < sum(forms) / len(forms) < 0.7


@pytest.mark.parametrize("name", SKILLS)
def test_every_character_has_a_token(name):
    text = "".join(each.question + each.answer for each in drawn(name, "a", 500, held_out=False))
    assert UNKNOWN not in encode(text)


def test_importing_the_demo_does_not_import_torch():
    code = "import sys, mergegraph.demo; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
