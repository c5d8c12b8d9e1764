"""Files kept open, and stamps by which they are known."""

from __future__ import annotations

import os
from contextlib import ExitStack

import pytest

from mergegraph.errors import ChangedError
from mergegraph.files.opened import OpenFiles
from mergegraph.files.stamps import stamp_of


@pytest.fixture
def files(tmp_path):
    """Ten files, each with its own number in it."""
    paths = [tmp_path / str(number) for number in range(10)]
    for path in paths:
        path.write_text(path.name)
    return paths


@pytest.fixture
def opened():
    made = OpenFiles(most=3)
    yield made
    made.close()


def text_of(opened, path, stamp=None):
    with opened.descriptor(path, stamp) as descriptor:
        return os.pread(descriptor, 100, 0).decode()


def test_few_files_are_open_whatever_the_number_that_is_read(opened, files):
    for path in files * 2:
        assert text_of(opened, path) == path.name
        assert len(opened._files) <= 3


def test_what_is_being_read_stays_open_even_if_that_is_too_many(opened, files):
    with ExitStack() as reading:
        found = [reading.enter_context(opened.descriptor(path)) for path in files]
        assert [os.pread(each, 9, 0).decode() for each in found] == [p.name for p in files]
    text_of(opened, files[0])
    text_of(opened, files[1])
    opened.close()
    assert text_of(opened, files[2]) == files[2].name
    assert len(opened._files) == 1


def test_a_file_that_is_replaced_is_not_opened_again_for_the_one_it_was(opened, files):
    text_of(opened, files[0])
    for path in files[1:5]:
        text_of(opened, path)
    files[5].replace(files[0])
    with pytest.raises(ChangedError, match="changed while it was read"):
        text_of(opened, files[0])


def test_a_file_that_is_not_the_planned_one_is_not_read(opened, files):
    planned = stamp_of(files[0])
    files[0].write_text("another")
    with pytest.raises(ChangedError, match="0: changed while it was read; run again when"):
        text_of(opened, files[0], planned)


def test_a_time_of_change_that_is_put_back_deceives_nobody(files):
    before, found = stamp_of(files[0]), files[0].stat()
    files[0].write_text("x")
    os.utime(files[0], ns=(found.st_atime_ns, found.st_mtime_ns))
    assert not before.is_of(stamp_of(files[0]))


def test_links_and_modes_change_no_bytes(files, tmp_path):
    before = stamp_of(files[0])
    (tmp_path / "link").hardlink_to(files[0])
    assert before.is_of(stamp_of(files[0]))
    files[0].chmod(0o600)
    assert before.is_of(stamp_of(files[0]))
