"""Room on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from mergegraph import MergeGraphError
from mergegraph.machine import Disk
from mergegraph.writing import room
from mergegraph.writing.found import Found
from mergegraph.writing.shards import Shard

NOTHING = Found({})


@pytest.fixture
def disks(monkeypatch):
    """Every folder named after a number is a disk of it, with 1000 bytes free."""
    monkeypatch.setattr(room, "disk_of", lambda path: Disk(int(path.parent.name), 1000))


def checked(*places):
    """Check the room for results of so many bytes at paths."""
    layouts = {Path(path): (Shard("model.safetensors", b"", n, {}),) for path, n in places}
    room.check_room(layouts, dict.fromkeys(layouts, NOTHING), ())


def test_disks_that_have_the_same_number_of_bytes_free_are_two(disks):
    checked(("/1/a", 900), ("/2/b", 900))


def test_results_on_one_disk_are_counted_together(disks):
    with pytest.raises(MergeGraphError, match=r"^/1/a: the results take 1\.8 KiB, 1000 B are free"):
        checked(("/1/a", 900), ("/1/b", 900))


def test_what_is_there_of_a_result_is_not_counted_again(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "disk_of", lambda _path: Disk(1, 10_000))
    (tmp_path / "out.partial").mkdir()
    (tmp_path / "out.partial" / "model.safetensors").write_bytes(b"x" * 40_960)
    checked((f"{tmp_path}/out", 50_000))
    with pytest.raises(MergeGraphError, match=r"9\.8 KiB are free; make room"):
        checked((f"{tmp_path}/out", 60_000))


def test_a_result_that_is_finished_needs_no_room(disks):
    shards = (Shard("model.safetensors", b"", 9000, {}),)
    room.check_room({Path("/1/a"): shards}, {Path("/1/a"): Found({}, is_done=True)}, ())
