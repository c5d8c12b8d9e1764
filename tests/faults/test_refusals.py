"""What the system refuses, and what strangers' code does: one sentence, and the same command ends well."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from plugin import HOWS
from safetensors.torch import save_file
from trials import RUN, copied, digests


@pytest.fixture
def home(model):
    made = copied(model, "refused")
    yield made
    shutil.rmtree(made)


def test_many_shards_need_few_open_files(launcher, home):
    """Five models of forty files each into forty files, where 48 may be open."""
    models = []
    for name in "pqrst":
        (home / name).mkdir()
        files = [f"model-{i + 1:05d}-of-00040.safetensors" for i in range(40)]
        for i, file in enumerate(files):
            save_file({f"layers.{i}.w": torch.full([64, 64], float(i))}, home / name / file)
        index = {"weight_map": {f"layers.{i}.w": file for i, file in enumerate(files)}}
        (home / name / "model.safetensors.index.json").write_text(json.dumps(index))
        (home / name / "config.json").write_text("{}")
        models.append(f"  - {{model: {name}, parameters: {{weight: 1}}}}\n")
    (home / "ties.yaml").write_text("merge_method: linear\nmodels:\n" + "".join(models))
    arguments = [*RUN[:-1], "17KB"]
    done = launcher.ask(home, arguments, limits={"RLIMIT_NOFILE": 48})
    assert done["code"] == 0, done["told"]
    assert len(list((home / "out").glob("*.safetensors"))) == 40


@pytest.mark.parametrize("mebibytes", [8, 40])
def test_address_space_refused_is_one_sentence(launcher, home, known, mebibytes):
    limited = {"RLIMIT_AS": mebibytes * 2**20}
    broken = launcher.ask(home, limits=limited)
    assert broken["code"] in (0, 1)
    assert "Traceback" not in broken["told"]
    if broken["code"]:
        assert "the system refuses" in broken["told"].splitlines()[-1]
        assert not (home / "out").exists()
        assert launcher.ask(home)["code"] == 0
    assert digests(home / "out") == known[0]


@pytest.mark.parametrize("how", HOWS)
def test_a_method_that_fails_is_told_with_its_op_and_its_tensor(launcher, home, how):
    recipe = f"merge_method: faulty_{how.replace(' ', '_')}\nmodels: [{{model: a}}, {{model: b}}]\n"
    (home / "ties.yaml").write_text(recipe)
    broken = launcher.ask(home)
    assert broken["code"] == 1, broken["told"]
    assert "Traceback" not in broken["told"]
    last = broken["told"].splitlines()[-1]
    assert last.startswith(("embed.w", "layers."))
    assert "faulty.made" in last
    assert not (home / "out").exists()
