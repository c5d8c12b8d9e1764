"""Where recipes may have results written: in the open, or where the user is at work."""

from __future__ import annotations

import pytest

import mergegraph
from mergegraph import MergeGraphError
from mergegraph.testing import tiny_family

STAGES = """
name: average
out: {out}
merge_method: linear
models: [{{model: models/tuned-1}}, {{model: models/tuned-2}}]
parameters: {{weight: 1}}
---
merge_method: slerp
base_model: average
models: [{{model: models/base}}]
parameters: {{t: 0.3}}
"""


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """Plan a recipe of a stage with `out`, from the directory `work`."""
    work = tmp_path / "work"
    tiny_family(work / "models")
    monkeypatch.chdir(work)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    def planned(out, result="merged/result", **options):
        (work / "r.yaml").write_text(STAGES.format(out=out))
        made = mergegraph.plan("r.yaml", out=result, **options)
        return [each.path for each in made.plan.directories]

    return planned


@pytest.mark.parametrize(
    "out",
    [
        "../away",
        "a/../../away",
        "/tmp/../away",
        "~/.ssh",
        ".ssh",
        "a/.config/x",
        "venv/lib/python3.12/site-packages/usercustomize",
        "merged/.git/hooks",
    ],
)
@pytest.mark.parametrize("result", ["merged/result", "result"])
def test_recipe_does_not_write_where_the_user_is_not_at_work(plan, tmp_path, out, result):
    with pytest.raises(MergeGraphError, match=r"^r\.yaml:3:6: out .* leads out of") as caught:
        plan(out, result)
    assert str(caught.value).endswith(f"if it is meant, say --set average:out={out}")
    assert not (tmp_path / "away").exists()


@pytest.mark.parametrize("out", ["average", "a/b/average", "a/../average", "./average"])
def test_recipe_writes_below_the_directory_that_is_worked_in(plan, out):
    assert len(plan(out)) == 2


def test_recipe_writes_where_it_states_in_full(plan, tmp_path):
    assert len(plan(tmp_path / "far" / "average")) == 2
    assert tmp_path / "home" / "away" in plan("~/away")


def test_recipe_writes_beside_the_result(plan, tmp_path):
    assert len(plan(tmp_path / "far" / "average", tmp_path / "far" / "result")) == 2


def test_the_user_may_write_anywhere(plan, tmp_path):
    place = tmp_path / ".hidden" / "average"
    assert place in plan("average", settings=[f"average:out={place}"])


def test_a_link_of_the_user_is_where_it_leads(plan, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "work" / "disk").symlink_to(tmp_path / "disk")
    assert len(plan("disk/average")) == 2
    with pytest.raises(MergeGraphError, match="leads out of"):
        plan("disk/../average")
