"""Traces added up: nothing is lost, however long a run is."""

from __future__ import annotations

import json

import pytest

import mergegraph
from mergegraph import MergeGraphError
from mergegraph.report.traces import NAMES, WAITING, Tally, read_work


def test_seconds_are_kept_however_stretches_grow():
    tally = Tally()
    for i in range(5000):
        tally.count("worker 1", "load" if i % 2 else "_delta", i * 0.01, i * 0.01 + 0.008)
    work = tally.work()
    assert len(work.stretches["worker 1"]) <= 240
    by_kind = work.by_kind("worker 1")
    drawn = [sum(each.get(kind, 0.0) for each in work.stretches["worker 1"]) for kind in (0, 1)]
    assert drawn == pytest.approx([20, 20])
    assert (by_kind[0], by_kind[1]) == pytest.approx((20, 20))
    assert {name for name, *_ in work.by_name()} == {"load", "delta"}


def test_what_comes_before_the_first_work_is_left_out():
    tally = Tally()
    tally.count("worker 1", "wait", 0.0, 9.0)
    tally.count("worker 1", "load", 9.0, 10.0)
    assert tally.work().seconds == pytest.approx(1.0, abs=0.1)


def test_a_file_of_a_run_tells_what_its_threads_did(tmp_path):
    recipe = "merge_method: linear\nmodels: [{model: demo:north}]\nparameters: {weight: 1}\n"
    (tmp_path / "r.yaml").write_text(recipe)
    mergegraph.run(tmp_path / "r.yaml", out=tmp_path / "o", trace=tmp_path / "t.json", threads=2)
    work = read_work(tmp_path / "t.json")
    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    loads = sum(each["dur"] for each in events if each["name"] == "load") / 1e6
    assert sum(work.by_kind(thread)[0] for thread in work.names) == pytest.approx(loads)
    assert NAMES[WAITING] == "waiting"


@pytest.mark.parametrize(
    "text", ["[]", '{"traceEvents": 3}', '{"traceEvents": [{"ph": "X"}]}', "x"]
)
def test_what_is_no_trace_is_refused(tmp_path, text):
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(MergeGraphError, match=r"t\.json"):
        read_work(tmp_path / "t.json")
