"""Syncing: having the system put on the disk what it has taken, so that a power cut loses none."""

from __future__ import annotations

import os
from errno import EACCES, EBADF, EINVAL, ENOTSUP, EPERM
from pathlib import Path

_CANNOT = {EACCES, EBADF, EINVAL, ENOTSUP, EPERM}  # directories cannot be synced everywhere


def sync_tree(folder: Path) -> None:
    """Sync all that is in a folder, and the folder; raises OSError."""
    for path in folder.rglob("*"):
        if not path.is_dir():
            sync_file(path)
    for path in [each for each in folder.rglob("*") if each.is_dir()]:
        sync_folder(path)
    sync_folder(folder)


def sync_file(path: Path) -> None:
    """Sync the content of a file; raises OSError."""
    _sync(path, os.O_RDWR | getattr(os, "O_BINARY", 0))


def sync_folder(path: Path) -> None:
    """Sync the names in a folder; where that cannot be said of one, everything is synced."""
    if os.name == "nt":  # names are written through there, and folders cannot be opened
        return
    try:
        _sync(path, os.O_RDONLY)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
        os.sync()


def _sync(path: Path, how: int) -> None:
    descriptor = os.open(path, how)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
