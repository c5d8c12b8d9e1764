"""Ancestry: family trees, from manifests and cards."""

from __future__ import annotations

import json

import pytest

import mergegraph
from mergegraph import MergeGraphError
from mergegraph.provenance import ancestry
from mergegraph.provenance.ancestry import family_json, family_mermaid, family_of, family_text
from mergegraph.provenance.lineage import DEEPEST, Ancestor
from mergegraph.provenance.manifest import read_manifest
from mergegraph.testing import tiny_family


@pytest.fixture
def merge(tmp_path, monkeypatch):
    """Average some models, and give the result a name."""
    monkeypatch.chdir(tmp_path)
    tiny_family(tmp_path / "models")

    def made(name, *models):
        listed = ", ".join(f"{{model: {each}}}" for each in models)
        text = f"merge_method: linear\nmodels: [{listed}]\nparameters: {{weight: 1}}\n"
        (tmp_path / f"{name}.yaml").write_text(text)
        mergegraph.run(f"{name}.yaml", out=name)
        return tmp_path / name

    return made


def test_parents_of_parents_are_in_the_tree(merge, tmp_path):
    merge("first", "models/tuned-1", "models/tuned-2")
    second = merge("second", "first", "models/base")
    assert family_text(family_of(second)) == "\n".join(
        [
            "second: linear",
            "├─ first: linear",
            "│  ├─ models/tuned-1",
            "│  └─ models/tuned-2",
            "└─ models/base",
        ]
    )


def test_the_tree_is_told_where_the_parents_are_gone(merge, tmp_path):
    first = merge("first", "models/tuned-1", "models/tuned-2")
    second = merge("second", "first", "models/base")
    before = family_text(family_of(second))
    first.rename(tmp_path / "gone")
    assert family_text(family_of(second)) == before


def test_a_parent_is_known_by_the_digest_of_its_weights(merge):
    first = merge("first", "models/tuned-1", "models/tuned-2")
    second = merge("second", "first", "models/base")
    assert read_manifest(second).inputs[0].weights == read_manifest(first).weights


def test_cards_are_followed_one_step(merge, tmp_path):
    card = tmp_path / "models" / "tuned-1" / "README.md"
    card.write_text("---\nbase_model: org/base\nlicense: mit\n---\n")
    first = merge("first", "models/tuned-1", "models/tuned-2")
    assert "│  └─ org/base (says its card)" in family_text(family_of(first)).splitlines()
    assert family_text(family_of(card.parent)) == "tuned-1\n└─ org/base (says its card)"


def test_a_model_of_the_hubs_cache_is_known_by_its_id(merge, tmp_path):
    snapshot = tmp_path / "cache" / "models--org--base" / "snapshots" / ("a" * 40)
    snapshot.parent.mkdir(parents=True)
    (tmp_path / "models" / "base").rename(snapshot)
    out = merge("first", str(snapshot), "models/tuned-1")
    told = read_manifest(out).inputs[0]
    assert (told.hub, told.commit) == ("org/base", "a" * 40)
    assert "base_model:\n- org/base\n" in (out / "README.md").read_text()


def test_the_hub_ancestors_of_a_local_parent_are_base_models(merge, tmp_path):
    snapshot = tmp_path / "cache" / "models--org--base" / "snapshots" / ("a" * 40)
    snapshot.parent.mkdir(parents=True)
    (tmp_path / "models" / "base").rename(snapshot)
    merge("first", str(snapshot), "models/tuned-1")
    second = merge("second", "first", "models/tuned-2")
    assert "base_model:\n- org/base\n" in (second / "README.md").read_text()


def test_forms_agree(merge):
    merge("first", "models/tuned-1", "models/tuned-2")
    family = family_of(merge("second", "first", "models/tuned-1"))
    told = json.loads(family_json(family))
    assert told["inputs"][0]["inputs"][1]["model"] == "models/tuned-2"
    lines = family_mermaid(family).splitlines()
    assert lines[0] == "graph TD"
    assert len([line for line in lines if '["' in line]) == 4, "tuned-1 is one node"
    assert len([line for line in lines if "-->" in line]) == 4


def test_a_deep_tree_is_cut_and_says_so(merge, monkeypatch):
    monkeypatch.setattr("mergegraph.provenance.ancestry.DEEPEST", 3)
    model = "models/tuned-1"
    for name in ("a", "b", "c", "d"):
        merge(name, model, "models/tuned-2")
        model = name
    told = family_text(family_of(merge("e", "d", "models/base")))
    assert "... and further back" in told
    assert DEEPEST > 3


def test_a_wide_tree_is_cut_and_says_so(merge, monkeypatch):
    merge("a", "models/tuned-1", "models/tuned-2")
    monkeypatch.setattr(ancestry, "MOST", 2)
    assert "... and further back" in family_text(family_of(merge("b", "a", "models/base")))


def test_a_model_that_tells_nothing_is_an_error(tmp_path):
    (tmp_path / "m").mkdir()
    with pytest.raises(MergeGraphError, match="names base_model"):
        family_of(tmp_path / "m")


def test_a_damaged_manifest_is_an_error_that_says_so(tmp_path):
    (tmp_path / "mergegraph.json").write_text("{")
    with pytest.raises(MergeGraphError, match=r"mergegraph\.json: (?!holds no)"):
        family_of(tmp_path)


def test_characters_that_would_steer_a_terminal_are_replaced():
    card = {"base_model": "org/a\x1b[2J"}
    assert family_text(Ancestor("a\x1b\nb", card=card)) == (
        "a\\x1b\\nb\n└─ org/a\\x1b[2J (says its card)"
    )
