"""The trace of a run: a file that Perfetto reads, in which every byte is accounted for."""

from __future__ import annotations

import json

import pytest

import mergegraph
from mergegraph import MergeGraphError
from mergegraph.trace import traced

RECIPE = """
merge_method: ties
base_model: demo:base
models: [{model: demo:north}, {model: demo:east}]
parameters: {weight: 1, density: 0.5}
"""


@pytest.fixture
def recipe(tmp_path):
    (tmp_path / "ties.yaml").write_text(RECIPE)
    return tmp_path / "ties.yaml"


def test_a_trace_tells_of_strips_ops_and_writes_by_thread(recipe, tmp_path):
    mergegraph.run(recipe, out=tmp_path / "out", threads=2, trace=tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    names = {each["args"]["name"] for each in events if each["ph"] == "M"}
    assert {"worker 1", "worker 2", "writer"} <= names
    spans = [each for each in events if each["ph"] == "X"]
    assert {"strip", "load", "delta", "write", "wait", "merge"} <= {each["name"] for each in spans}
    assert all(each["dur"] >= 0 and each["ts"] >= 0 for each in spans)
    shard = tmp_path / "out" / "model.safetensors"
    header = int.from_bytes(shard.read_bytes()[:8], "little") + 8
    written = sum(each["args"]["nbytes"] for each in spans if each["name"] == "write")
    assert written == shard.stat().st_size - header


def test_a_trace_changes_no_byte(recipe, tmp_path):
    mergegraph.run(recipe, out=tmp_path / "traced", trace=tmp_path / "trace.json")
    mergegraph.run(recipe, out=tmp_path / "out")
    one, other = (
        (tmp_path / each / "model.safetensors").read_bytes() for each in ("traced", "out")
    )
    assert one == other


def test_a_trace_that_cannot_be_written_is_refused_before_the_run(recipe, tmp_path):
    with pytest.raises(MergeGraphError, match=r"--trace .*nowhere.* cannot be written"):
        mergegraph.run(recipe, out=tmp_path / "out", trace=tmp_path / "nowhere" / "trace.json")
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_no_trace_is_left_alone(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    with (
        pytest.raises(MergeGraphError, match="is there, and is no trace; name another file"),
        traced(tmp_path / "model.safetensors"),
    ):
        pass
    assert (tmp_path / "model.safetensors").read_bytes() == b"weights"
    for _ in range(2):
        with traced(tmp_path / "trace.json"):
            pass
