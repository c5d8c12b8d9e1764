"""Writing: every byte arrives, past the page cache or through it, and failures are told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mergegraph.errors import RunError
from mergegraph.writing import writer as writer_module
from mergegraph.writing.writer import BLOCK, File, Writer


def make_file(path: Path, nbytes: int) -> File:
    with path.open("wb") as file:
        file.truncate(nbytes)
    return File(path)


def random_bytes(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count,), dtype=torch.uint8, generator=generator)


@given(
    sizes=st.lists(st.sampled_from([0, 1, 100, BLOCK, 70_000, 2**17, 300_001]), max_size=6),
    start=st.sampled_from([0, 8, BLOCK, BLOCK + 2]),
    backwards=st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_parts_of_any_size_arrive_at_their_places(tmp_path_factory, sizes, start, backwards):
    path = tmp_path_factory.mktemp("written") / "file"
    parts = [random_bytes(size, i) for i, size in enumerate(sizes)]
    file = make_file(path, start + sum(sizes))
    places = [start + sum(sizes[:i]) for i in range(len(sizes))]
    with Writer() as writer:
        for i in reversed(range(len(sizes))) if backwards else range(len(sizes)):
            writer.write(file, places[i], parts[i])
        writer.drain()
    file.close()
    assert path.read_bytes() == bytes(start) + b"".join(bytes(each.numpy()) for each in parts)


def test_without_direct_writing_the_bytes_are_the_same(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "O_DIRECT", raising=False)
    data = random_bytes(3 * 2**20 + 5, 1)
    file = make_file(tmp_path / "file", len(data))
    with Writer() as writer:
        writer.write(file, 0, data)
        writer.drain()
    assert (tmp_path / "file").read_bytes() == bytes(data.numpy())


def test_a_file_system_that_refuses_direct_bytes_gets_them_plainly(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "pwritev", refuse)
    data = random_bytes(2**20, 1)
    file = make_file(tmp_path / "file", len(data))
    with Writer() as writer:
        writer.write(file, 0, data)
        writer.drain()
    assert (tmp_path / "file").read_bytes() == bytes(data.numpy())


def test_what_was_handed_in_may_be_changed_at_once(tmp_path):
    data = random_bytes(2**20, 1)
    before = bytes(data.numpy())
    file = make_file(tmp_path / "file", len(data))
    with Writer() as writer:
        writer.write(file, 0, data)
        data.zero_()
        writer.drain()
    assert (tmp_path / "file").read_bytes() == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no device that is full")
def test_a_full_disk_is_told_and_nothing_is_called_finished():
    called = []
    file = File(Path("/dev/full"))
    with Writer() as writer:
        writer.write(file, 0, random_bytes(1000, 1))
        with pytest.raises(RunError, match=r"/dev/full: cannot be written: No space left"):
            writer.drain()
        with pytest.raises(RunError):
            writer.then(lambda: called.append(1))
    assert called == []


def test_calls_come_after_what_was_handed_in_before(tmp_path):
    data = random_bytes(2**20, 1)
    file = make_file(tmp_path / "file", len(data))
    seen = []
    with Writer() as writer:
        writer.write(file, 0, data)
        writer.then(lambda: seen.append((tmp_path / "file").read_bytes()))
        writer.drain()
    assert seen == [bytes(data.numpy())]


def test_more_files_than_may_be_open_are_written(tmp_path, monkeypatch):
    monkeypatch.setattr(writer_module, "files_at_once", lambda: 2)
    files = [make_file(tmp_path / str(i), 70_000) for i in range(6)]
    parts = [random_bytes(70_000, i) for i in range(6)]
    with Writer() as writer:
        for start in (0, 35_000):
            for file, part in zip(files, parts, strict=True):
                writer.write(file, start, part[start : start + 35_000])
        writer.drain()
        assert sum(each._plain is not None for each in files) == 2
    for file, part in zip(files, parts, strict=True):
        file.close()
        assert file.path.read_bytes() == bytes(part.numpy())


def test_a_system_that_takes_no_bytes_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "pwrite", lambda *_: 0)
    monkeypatch.delattr(os, "O_DIRECT", raising=False)
    file = make_file(tmp_path / "file", 100)
    with Writer() as writer:
        writer.write(file, 0, random_bytes(100, 1))
        with pytest.raises(RunError, match="the system takes no bytes; mend that"):
            writer.drain()
    file.close()
