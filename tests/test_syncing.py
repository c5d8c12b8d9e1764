"""Having the system put what it has taken on the disk."""

from __future__ import annotations

import errno
import os

import pytest

from mergegraph.writing.syncing import sync_folder, sync_tree

pytestmark = pytest.mark.skipif(os.name == "nt", reason="folders are not synced there")


@pytest.fixture
def synced(monkeypatch):
    """The paths that are synced, in order."""
    found = []
    monkeypatch.setattr(os, "fsync", lambda each: found.append(os.fstat(each).st_ino))
    return found


def test_files_come_before_the_folders_that_name_them(tmp_path, synced):
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "file").touch()
    (tmp_path / "other").touch()
    sync_tree(tmp_path)
    numbers = [each.stat().st_ino for each in (inner / "file", tmp_path / "other")]
    assert sorted(synced[:2]) == sorted(numbers)
    assert synced[2:] == [inner.stat().st_ino, tmp_path.stat().st_ino]


def test_where_a_folder_cannot_be_synced_all_is(tmp_path, monkeypatch):
    def refuse(_):
        raise OSError(errno.EINVAL, "Invalid argument")

    called = []
    monkeypatch.setattr(os, "fsync", refuse)
    monkeypatch.setattr(os, "sync", lambda: called.append(1))
    sync_folder(tmp_path)
    assert called == [1]
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="Invalid argument"):
        sync_tree(tmp_path)
