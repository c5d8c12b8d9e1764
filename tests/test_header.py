"""Headers of safetensors files: what is written is read, and what lies is refused."""

from __future__ import annotations

import json
import struct
from math import prod
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from mergegraph.errors import MergeGraphError
from mergegraph.files.header import MAX_HEADER, read_header
from mergegraph.spec import DTYPES, Spec

ONE = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
FOUR = b"\0" * 4
same_folder = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150
)


def written(path: Path, header: Any, data: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def library_reads(path: Path) -> bool:
    try:
        with safe_open(path, "pt"):
            return True
    except SafetensorError:
        return False


def refusal(path: Path) -> str:
    with pytest.raises(MergeGraphError) as caught:
        read_header(path)
    return str(caught.value).removeprefix(f"{path}: not a sound safetensors file: ")


# -- what the library writes ---------------------------------------------------------------

NAMES = (
    st.text(min_size=1, max_size=12).filter(str.isprintable).filter(lambda n: n != "__metadata__")
)
SHAPES = st.lists(st.integers(0, 4), max_size=4)


@same_folder
@given(st.dictionaries(NAMES, st.tuples(SHAPES, st.sampled_from(sorted(DTYPES))), max_size=6))
def test_what_the_library_writes_is_read_the_same(tmp_path, wanted):
    path = tmp_path / "model.safetensors"
    tensors = {n: torch.zeros(s, dtype=getattr(torch, d)) for n, (s, d) in wanted.items()}
    save_file(tensors, path, metadata={"format": "pt"})
    found = read_header(path).entries
    assert {name: entry.spec for name, entry in found.items()} == {
        name: Spec(tuple(shape), dtype) for name, (shape, dtype) in wanted.items()
    }


def test_entries_point_at_the_bytes_of_their_tensors(tmp_path):
    tensors = {"b": torch.arange(6.0).reshape(2, 3), "a": torch.tensor([7], dtype=torch.int64)}
    save_file(tensors, tmp_path / "x.safetensors")
    data = (tmp_path / "x.safetensors").read_bytes()
    for name, entry in read_header(tmp_path / "x.safetensors").entries.items():
        stored = data[entry.offset : entry.offset + entry.spec.nbytes]
        assert stored == tensors[name].numpy().tobytes()


def test_a_header_may_be_padded_with_spaces(tmp_path):
    path = written(tmp_path / "x", json.dumps({"w": ONE}).encode() + b"   ", FOUR)
    assert list(read_header(path).entries) == ["w"]


def test_tensors_without_entries_take_no_bytes_anywhere(tmp_path):
    empty = {"dtype": "F32", "shape": [0, 3]}
    header = {
        "w": ONE,
        "first": {**empty, "data_offsets": [0, 0]},
        "last": {**empty, "data_offsets": [4, 4]},
    }
    assert len(read_header(written(tmp_path / "x", header, FOUR)).entries) == 3


def test_files_of_equal_names_but_other_places_have_other_identities(tmp_path):
    one = read_header(written(tmp_path / "one", {"w": ONE}, FOUR)).entries["w"]
    two = read_header(written(tmp_path / "two", {"w": ONE}, FOUR)).entries["w"]
    assert one.identity != two.identity


# -- what lies -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x02\0\0\0",
        struct.pack("<Q", 3) + b"{}",
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 2**64 - 1) + b"{}",
        struct.pack("<Q", MAX_HEADER + 1) + b"{}",
    ],
)
def test_a_header_that_does_not_fit_in_its_file_is_refused(tmp_path, content):
    path = tmp_path / "x"
    path.write_bytes(content)
    assert "does not fit in" in refusal(path)


LIES = {
    "is not sound JSON": [
        b"",
        b"{",
        b"{}\0",
        b"\xef\xbb\xbf{}",
        b'{"a\xff":1}',
        b'{"w":' + b"[" * 100_000,
        b'{"w":{},"w":{}}',
        b'{"w":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        b'{"w":{"dtype":"F32","shape":[01],"data_offsets":[0,4]}}',
    ],
    "is not a JSON object": [b"[]", b"null", b'"w"', b"9" * 5000],
    "its entry is not an object of": [
        {"w": 1},
        {"w": None},
        {"w": [ONE]},
        {"w": {}},
        {"w": {"dtype": "F32", "shape": [1]}},
        {"w": {**ONE, "more": 1}},
        b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"more":NaN}}',
    ],
    "is not a dtype": [{"w": {**ONE, "dtype": bad}} for bad in ("f32", "F128", "", None, {}, [1])],
    "is not a list of sizes": [
        {"w": {**ONE, "shape": bad}}
        for bad in (None, 1, "1", {}, [-1], [1.0], [True], ["1"], [None], [[1]])
    ],
    "is larger than any tensor": [
        {"w": {**ONE, "shape": bad}} for bad in ([2**64], [2**63, 0], [2**30, 2**30], [1] * 65)
    ],
    "is not a range of bytes": [
        {"w": {**ONE, "data_offsets": bad}}
        for bad in (None, 4, [], [0], [0, 4, 8], [4, 0], [-4, 0], [0, 4.0], [False, 4], ["0", "4"])
    ],
    "takes 4 bytes": [{"w": {**ONE, "data_offsets": bad}} for bad in ([0, 0], [0, 3], [0, 8])],
    "is it complete?": [
        {"w": {**ONE, "data_offsets": [4, 8]}},
        {"w": {**ONE, "data_offsets": [2**63, 2**63 + 4]}},
        {"w": ONE, "v": {**ONE, "shape": [0], "data_offsets": [99, 99]}},
    ],
    "is not a tensor name": [{bad: ONE} for bad in ("", "a\0", "a\nb", "\x1b[2J", "\x9b", "\u202e")]
    + [b'{"\\ud800":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'],
    "its __metadata__ does not": [
        {"__metadata__": bad, "w": ONE} for bad in ([], "x", 1, False, {"a": 1}, {"a": None})
    ]
    + [b'{"__metadata__":{"x":"\\ud800"}}'],
}


@pytest.mark.parametrize(
    ("fact", "header"), [(fact, header) for fact in LIES for header in LIES[fact]]
)
def test_a_header_that_lies_is_refused_with_the_fact(tmp_path, fact, header):
    assert fact in refusal(written(tmp_path / "x", header, FOUR))


def pair(first: list[int], second: list[int]) -> dict[str, Any]:
    return {"a": {**ONE, "data_offsets": first}, "b": {**ONE, "data_offsets": second}}


def test_tensors_that_overlap_are_both_named(tmp_path):
    path = written(tmp_path / "x", pair([0, 4], [2, 6]), FOUR + FOUR)
    assert refusal(path) == "the bytes of b overlap those of a"


def test_bytes_between_tensors_are_refused(tmp_path):
    path = written(tmp_path / "x", pair([0, 4], [8, 12]), 3 * FOUR)
    assert refusal(path) == "the bytes before those of b belong to nothing"


def test_bytes_after_the_last_tensor_are_refused(tmp_path):
    path = written(tmp_path / "x", {"w": ONE}, FOUR + b"!")
    assert refusal(path) == "1 bytes after the last tensor belong to nothing"


def test_a_truncated_file_names_the_tensor_that_is_cut(tmp_path):
    save_file({"a": torch.zeros(4), "b": torch.zeros(4)}, tmp_path / "x")
    (tmp_path / "x").write_bytes((tmp_path / "x").read_bytes()[:-1])
    assert refusal(tmp_path / "x").startswith("b: its bytes end at ")


@pytest.mark.parametrize("code", ["F4", "F6_E2M3", "F8_E8M0", "F8_E4M3FNUZ"])
def test_sound_dtypes_that_cannot_be_merged_are_not_called_unsound(tmp_path, code):
    header = {"w": {"dtype": code, "shape": [4], "data_offsets": [0, 4]}}
    path = written(tmp_path / "x", header, FOUR)
    assert refusal(path) == f"{path}: w: tensors of dtype {code} cannot be merged"


def test_what_is_not_a_file_is_refused(tmp_path):
    assert refusal(tmp_path) == f"{tmp_path}: cannot be read: not a file"
    assert refusal(tmp_path / "x") == f"{tmp_path}/x: cannot be read: No such file or directory"


def test_a_git_lfs_pointer_comes_with_the_remedy(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n")
    assert refusal(path).endswith("a Git LFS pointer, not the file; fetch it: git lfs pull")


# -- whatever is accepted, the library accepts ------------------------------------------------

NUMBERS = st.integers(-1, 9) | st.sampled_from([2**63, 2**64, 0.0, 4.0, True, None, "4"])
CODES = st.sampled_from(["F32", "F16", "U8", "BOOL", "I64", "F4", "F8_E4M3", "f32", None])


@st.composite
def tensor_entries(draw: st.DrawFn) -> dict[str, Any]:
    entry = {
        "dtype": draw(CODES),
        "shape": draw(st.lists(NUMBERS, max_size=3)),
        "data_offsets": draw(st.lists(NUMBERS, min_size=1, max_size=3)),
    }
    return draw(st.sampled_from([entry, entry, entry, {**entry, "more": 0}]))


@same_folder
@given(
    st.dictionaries(st.sampled_from(["a", "b", "", "é"]), tensor_entries(), max_size=3),
    st.integers(0, 12),
)
def test_invented_headers_are_accepted_only_if_the_library_accepts_them(tmp_path, header, nbytes):
    path = written(tmp_path / "x", header, b"\0" * nbytes)
    try:
        read_header(path)
    except MergeGraphError:
        return
    assert library_reads(path)


SOUND = {
    "__metadata__": {"format": "pt"},
    "b": {"dtype": "F16", "shape": [1, 2], "data_offsets": [4, 8]},
    "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
}


@same_folder
@given(st.data())
def test_damaged_files_are_accepted_only_if_the_library_accepts_them(tmp_path, data):
    path = written(tmp_path / "x", SOUND, FOUR + FOUR)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(
            st.sampled_from(list(b'0123456789-.eE"\\{}[],: au\0\xff'))
        )
    path.write_bytes(content)
    try:
        found = read_header(path)
    except MergeGraphError:
        return
    assert library_reads(path)
    assert all(prod(entry.spec.shape) == entry.spec.numel for entry in found.entries.values())
