"""Disks that are really full, read-only or elsewhere: file systems of some mebibytes in memory."""

from __future__ import annotations

import shutil

import pytest
from trials import RUN, copied, digests

OUT = tuple("disk/out" if each == "out" else each for each in RUN)


@pytest.fixture(scope="module")
def home(model, launcher):
    """A home with a link to the disk."""
    if launcher.mounted is None:
        pytest.skip("no file system may be mounted here")
    made = copied(model, "home")
    (made / "disk").symlink_to("../disk")
    return made


@pytest.fixture
def disk(launcher):
    """The disk, as it is seen from here."""
    return launcher.mounted


@pytest.fixture
def reference(known):
    return known[0]


@pytest.fixture(autouse=True)
def emptied(disk):
    yield
    for each in disk.iterdir():
        shutil.rmtree(each) if each.is_dir() and not each.is_symlink() else each.unlink()


def ended_well(launcher, home, disk, reference):
    """Whether a plain run comes to the right bytes, and leaves nothing else."""
    done = launcher.ask(home, OUT)
    assert done["code"] == 0, done["told"]
    assert digests(disk / "out") == reference
    assert [each.name for each in disk.iterdir()] == ["out"]
    return True


@pytest.mark.parametrize("left", [0, 860_000, 960_000], ids=str)
def test_a_disk_that_fills_up_is_told_with_what_is_missing(launcher, home, disk, reference, left):
    """At the first shard, at the last one, at the side files, at the manifest."""
    fill = {
        "call": "mkdir",
        "on": "out.partial",
        "what": "fill",
        "target": "disk/full",
        "left": left,
    }
    broken = launcher.ask(home, OUT, faults=[fill])
    assert broken["code"] == 1, broken["told"]
    told = broken["told"].splitlines()[-1]
    assert "No space left on device" in told
    assert "KiB more are needed" in told or left != 860_000
    assert told.endswith("make room, and the same command continues")
    assert not (disk / "out").exists()
    (disk / "full").unlink()
    assert ended_well(launcher, home, disk, reference)


def test_a_disk_too_small_is_told_before_anything_is_written(launcher, home, disk, reference):
    (disk / "full").write_bytes(bytes(2_500_000))
    broken = launcher.ask(home, OUT)
    assert broken["code"] == 2
    assert "the results take 8" in broken["told"]
    assert "KiB are free" in broken["told"]
    assert [each.name for each in disk.iterdir()] == ["full"]
    (disk / "full").unlink()
    assert ended_well(launcher, home, disk, reference)


def test_what_is_there_of_a_result_needs_no_room_again(launcher, home, disk, reference):
    die = {"call": "write", "on": "partial/mergegraph.json$", "what": "die"}
    assert launcher.ask(home, OUT, faults=[die])["code"] == -9
    (disk / "full").write_bytes(bytes(1_900_000))
    broken = launcher.ask(home, OUT)
    assert broken["code"] == 0, broken["told"]
    (disk / "full").unlink()
    assert digests(disk / "out") == reference


def test_no_more_files_on_a_disk(launcher, home, disk, reference):
    for number in range(57):
        (disk / f"{number}").touch()
    broken = launcher.ask(home, OUT)
    assert broken["code"] == 1
    assert "No space left on device" in broken["told"].splitlines()[-1]
    for number in range(57):
        (disk / f"{number}").unlink()
    assert ended_well(launcher, home, disk, reference)


def test_the_place_where_a_disk_is_mounted_is_no_place_for_a_result(launcher, home, disk):
    broken = launcher.ask(home, tuple("../disk" if each == "out" else each for each in RUN))
    assert broken["code"] == 2
    assert "a file system is mounted there" in broken["told"]
    assert list(disk.iterdir()) == []


def test_a_result_goes_where_a_link_leads(launcher, home, disk, reference):
    (disk / "big").mkdir()
    (home / "link").symlink_to("disk/big")
    arguments = tuple("link" if each == "out" else each for each in RUN)
    done = launcher.ask(home, arguments)
    assert done["code"] == 0, done["told"]
    assert digests(disk / "big") == reference
    assert (home / "link").is_symlink()
    assert not (home / "link.partial").exists()
    (home / "link").unlink()


def test_unfinished_work_may_be_on_another_disk(launcher, home, disk, reference):
    (disk / "work").mkdir()
    (home / "there.partial").symlink_to("disk/work")
    done = launcher.ask(home, tuple("there" if each == "out" else each for each in RUN))
    assert done["code"] == 0, done["told"]
    assert digests(disk / "work") == reference
    assert (home / "there").is_symlink()
    (home / "there").unlink()
