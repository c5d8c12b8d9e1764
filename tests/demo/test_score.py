"""Scores of model directories."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from mergegraph.demo.__main__ import FAMILY
from mergegraph.demo.score import make_exam, score
from mergegraph.errors import MergeGraphError

EXAM = make_exam(40)
SPLIT = "model.layers.3"


@pytest.fixture
def base(tmp_path):
    """A copy of the base, its weights to be rewritten."""

    def write(change):
        root = shutil.copytree(FAMILY / "base", tmp_path / "changed")
        (root / "model.safetensors").unlink()
        for name, tensors in change(load_file(FAMILY / "base" / "model.safetensors")).items():
            save_file(tensors, root / name)
        return root

    return write


def shown(*arguments):
    command = [sys.executable, "-m", "mergegraph.demo", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_shards_score_as_one_file(base):
    def split(weights):
        low = {name: each for name, each in weights.items() if name.startswith(SPLIT)}
        high = {name: each for name, each in weights.items() if name not in low}
        return {"model-1.safetensors": low, "model-2.safetensors": high}

    assert score(base(split), EXAM) == score(FAMILY / "base", EXAM)


def test_float32_weights_score_as_the_same_in_bfloat16(base):
    def widen(weights):
        return {"model.safetensors": {name: each.float() for name, each in weights.items()}}

    assert score(base(widen), EXAM) == score(FAMILY / "base", EXAM)


def test_random_weights_are_right_about_nothing(base):
    def scramble(weights):
        torch.manual_seed(0)
        return {"model.safetensors": {name: torch.randn(w.shape) for name, w in weights.items()}}

    assert max(score(base(scramble), EXAM).values()) < 5


def test_a_missing_tensor_is_named(base):
    def drop(weights):
        return {"model.safetensors": {n: w for n, w in weights.items() if n != "lm_head.weight"}}

    with pytest.raises(MergeGraphError, match=r"lm_head\.weight is missing"):
        score(base(drop), EXAM)


def test_a_tensor_of_another_shape_is_named(base):
    def cut(weights):
        return {"model.safetensors": {**weights, "lm_head.weight": torch.zeros(2, 2)}}

    with pytest.raises(MergeGraphError, match=r"lm_head\.weight is \(2, 2\)"):
        score(base(cut), EXAM)


@pytest.mark.parametrize("content", [None, b"", b"not a header"])
def test_a_directory_without_readable_weights_is_an_error(tmp_path, content):
    shutil.copy(FAMILY / "base" / "config.json", tmp_path)
    if content is not None:
        (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(MergeGraphError, match=str(tmp_path)):
        score(tmp_path, EXAM)


def test_what_cannot_be_scored_is_said_in_one_line(tmp_path):
    done = shown(tmp_path / "nowhere")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "nowhere" in done.stderr


def test_the_table_has_a_row_for_each_model_and_names_the_winners(tmp_path):
    merge = shutil.copytree(FAMILY / "base", tmp_path / "unchanged")
    done = shown(merge, "--markdown")
    rows = [line.split("|")[1].strip() for line in done.stdout.splitlines() if "|" in line]
    assert done.returncode == 0, done.stderr
    assert rows[2:] == [*(path.name for path in members_in_order()), "unchanged"]
    assert "none of the merges" in done.stdout


def members_in_order():
    return sorted(FAMILY.iterdir(), key=lambda path: (path.name != "base", path.name))
