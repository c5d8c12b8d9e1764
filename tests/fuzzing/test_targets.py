"""Every reader against files made to break it: read rightly, or refused in one clear sentence."""

from __future__ import annotations

import json
import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzzing.corpus import kept
from fuzzing.judging import Fault, judged
from fuzzing.mutations import mutated
from fuzzing.targets import TARGETS, Target
from fuzzing.watching import Watch
from fuzzing.weights import safetensors_of
from mergegraph.errors import MergeGraphError

SLOW = {"config", "tensors", "adapter_config", "adapter", "tokenizer", "added", "template"}
BRIEF = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)


@pytest.fixture(scope="session")
def watch():
    return Watch()


@pytest.fixture(params=TARGETS)
def target(request, tmp_path):
    warnings.simplefilter("ignore")  # torch speaks of storages
    found = TARGETS[request.param]
    found.lay(tmp_path)
    for data in found.samples():  # what is imported late is imported now
        try:
            found.read(tmp_path, data)
        except MergeGraphError:
            continue
    return found


def test_what_is_kept_is_read_or_refused_as_it_should_be(target, tmp_path, watch):
    for name, data in kept(target):
        try:
            judged(target, data, tmp_path, watch)
        except Fault as fault:
            raise AssertionError(f"corpus/{target.name}/{name}: {fault}") from fault


def test_a_target_has_a_sound_file_that_is_read(target, tmp_path, watch):
    verdicts = [judged(target, data, tmp_path, watch) for data in target.samples()]
    assert any(each.refusal is None for each in verdicts)


@BRIEF
@given(st.data())
def test_sound_files_changed_are_read_or_refused(target, tmp_path, watch, data):
    samples = list(target.samples())
    random = data.draw(st.randoms(use_true_random=False))
    if target.name in SLOW and random.random() < 0.7:  # a plan for each takes its time
        return
    judged(target, mutated(target.mutate, random.choice(samples), samples, random), tmp_path, watch)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


@BRIEF
@given(st.data())
def test_files_of_another_kind_are_read_or_refused(target, tmp_path, watch, data):
    if target.name in SLOW and data.draw(st.integers(0, 9)) > 3:
        return
    text = data.draw(st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value).encode()))
    judged(target, text, tmp_path, watch)


ENTRY = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "BF16", "I64", "BOOL", "F4", "x"]),
        "shape": st.lists(st.integers(-1, 4) | st.integers(), max_size=4),
        "data_offsets": st.lists(st.integers(0, 40) | st.integers(), min_size=1, max_size=3),
    }
)


@settings(BRIEF, max_examples=100)
@given(st.dictionaries(st.text(max_size=4), ENTRY, max_size=3), st.binary(max_size=48))
def test_headers_are_read_as_the_library_reads_them(tmp_path, watch, header, data):
    judged(TARGETS["header"], safetensors_of(header, data), tmp_path, watch)


# -- the judge -------------------------------------------------------------------------------


def reader(read):
    return Target("made", "here", read, list, lambda data, _others, _random: data)


def test_what_is_no_error_of_ours_is_a_fault(tmp_path, watch):
    with pytest.raises(Fault, match="KeyError"):
        judged(reader(lambda _folder, _data: {}["x"]), b"", tmp_path, watch)


def test_a_message_that_steers_a_terminal_is_a_fault(tmp_path, watch):
    class LoudError(MergeGraphError):
        def __str__(self):
            return "\x1b[2J"

    def read(_folder, _data):
        raise LoudError

    with pytest.raises(Fault, match="cannot be printed"):
        judged(reader(read), b"", tmp_path, watch)


def test_a_file_written_elsewhere_is_a_fault(tmp_path, watch):
    inside = tmp_path / "inside"
    inside.mkdir()
    with pytest.raises(Fault, match="to write"):
        judged(reader(lambda *_: (tmp_path / "x").write_text("x")), b"", inside, watch)
    judged(reader(lambda *_: (inside / "x").write_text("x")), b"", inside, watch)


def test_a_program_that_is_called_is_a_fault(tmp_path, watch):
    import subprocess

    with pytest.raises(Fault, match="subprocess"):
        judged(reader(lambda *_: subprocess.run(["true"], check=True)), b"", tmp_path, watch)
