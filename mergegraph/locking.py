"""Locks on files, which end with the process that has them."""

from __future__ import annotations

import errno
from typing import Any

_FAR = 2**30
_TAKEN = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK)

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]
    import msvcrt


def lock(file: Any) -> bool:
    """Take the lock of an open file; whether no other process has it.

    Where a file system has no locks, nobody is told apart.
    """
    try:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            file.seek(_FAR)  # what is locked there, others can neither read nor write
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    except OSError as error:
        return error.errno not in _TAKEN
    return True
