"""One launcher for all trials of faults, with a disk of its own where that may be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

if not sys.platform.startswith("linux"):
    collect_ignore_glob = ["test_*.py"]  # calls are told apart by /proc, and mounts are Linux's

import plugin
from trials import Launcher, make_home, reference_of

MOUNT = 'mount -t tmpfs -o size=3m,nr_inodes=64 tmpfs "$0" && exec "$@"'


def may_mount() -> bool:
    try:
        command = ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A home that is left as it is."""
    return make_home(tmp_path_factory.mktemp("faults") / "model")


@pytest.fixture(scope="session")
def launcher(model, tmp_path_factory):
    """What runs jobs; `mounted` is a folder that is a disk of 3 MiB for them, or None."""
    packages = plugin.install(tmp_path_factory.mktemp("packages"))
    mounted = model.with_name("disk")
    mounted.mkdir()
    if may_mount():
        made = Launcher(("unshare", "-rm", "sh", "-c", MOUNT, str(mounted)), packages)
        made.mounted = Path(f"/proc/{made.process.pid}/root{mounted}")
    else:
        made = Launcher((), packages)
    yield made
    made.close()


@pytest.fixture(scope="session")
def known(launcher, model):
    """What is made without faults, and by which calls."""
    return reference_of(launcher, model)
