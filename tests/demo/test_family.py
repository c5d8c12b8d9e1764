"""The trained family as it is shipped."""

from __future__ import annotations

from random import Random

import pytest
import torch

from mergegraph.demo.__main__ import FAMILY, members
from mergegraph.demo.batch import make_batch
from mergegraph.demo.llama import logits, read_config
from mergegraph.demo.score import make_exam, score
from mergegraph.demo.skills import SKILLS, draw, make_skills
from mergegraph.demo.train import EXPERTS

EXPERT_NAMES = tuple(EXPERTS)
NAMES = ("base", *EXPERT_NAMES)


@pytest.fixture(scope="module")
def scores():
    """What each member of the family gets right."""
    torch.set_num_threads(1)
    exam = make_exam(300)
    return {path.name: score(path, exam) for path in members()}


@pytest.fixture
def loaded():
    """Load a member with transformers, and what transformers noticed about it."""
    transformers = pytest.importorskip("transformers")

    def load(name):
        return transformers.AutoModelForCausalLM.from_pretrained(
            FAMILY / name, dtype=torch.float32, output_loading_info=True
        )

    return load


def test_the_family_is_the_one_that_is_trained():
    assert {path.name for path in members()} == set(NAMES)
    assert next(iter(members())).name == "base"


def test_the_family_is_small_enough_to_ship():
    assert sum(path.stat().st_size for path in FAMILY.rglob("*") if path.is_file()) <= 12e6


def test_the_base_is_in_the_middle_of_every_skill(scores):
    assert all(25 < percent < 70 for percent in scores["base"].values()), scores["base"]


@pytest.mark.parametrize("skill", SKILLS)
def test_an_expert_is_the_best_at_its_own_skill(scores, skill):
    others = [name for name in NAMES if not name.startswith(skill)]
    assert scores[skill][skill] > max(scores[name][skill] for name in others)
    assert scores[skill][skill] > scores["base"][skill] + 10


@pytest.mark.parametrize("name", EXPERT_NAMES)
def test_an_expert_forgets_little(scores, name):
    others = [skill for skill in SKILLS if skill != EXPERTS[name][0]]
    assert all(scores[name][skill] > scores["base"][skill] - 8 for skill in others), scores[name]


@pytest.mark.parametrize("name", NAMES)
def test_transformers_finds_every_weight_it_wants_and_no_other(loaded, name):
    _, noticed = loaded(name)
    assert not any(noticed.values()), noticed


def test_logits_of_the_base_equal_those_of_transformers(loaded):
    model, _ = loaded("base")
    tokens = torch.randint(0, 30, (4, 20), generator=torch.Generator().manual_seed(0))
    found = logits(model.state_dict(), read_config(FAMILY / "base" / "config.json"), tokens)
    torch.testing.assert_close(found, model(tokens).logits, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_a_member_writes_through_transformers_what_it_is_scored_for(loaded, name):
    """Of some modern phrases, it writes just as many right as the score says."""
    tokenizer = pytest.importorskip("transformers").AutoTokenizer.from_pretrained(FAMILY / name)
    model, _ = loaded(name)
    random, skill = Random("some"), EXPERTS.get(name, ("north",))[0]
    problems = [
        draw(make_skills()[skill], random, held_out=True, is_modern=True) for _ in range(12)
    ]
    written = [
        model.generate(**tokenizer(each.question, return_tensors="pt", return_token_type_ids=False))
        for each in problems
    ]
    texts = [tokenizer.decode(each[0], skip_special_tokens=True) for each in written]
    right = [
        text == each.question + each.answer for text, each in zip(texts, problems, strict=True)
    ]
    batch = make_batch(problems)
    weights = {key: each.float() for key, each in model.state_dict().items()}
    found = logits(weights, read_config(FAMILY / name / "config.json"), batch.read).argmax(-1)
    scored = ((found == batch.wanted) | ~batch.is_answer).all(1).tolist()
    assert right == scored
    assert name == "base" or sum(right) > 4


def test_the_tokenizer_gives_a_text_back(loaded):
    del loaded
    tokenizer = pytest.importorskip("transformers").AutoTokenizer.from_pretrained(FAMILY / "base")
    text = "n:fabo luki=dane soti"
    assert tokenizer.decode(tokenizer(text).input_ids, skip_special_tokens=True) == text
    assert tokenizer(text).input_ids[0] == tokenizer.bos_token_id
