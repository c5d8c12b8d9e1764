"""What a reader does to the machine: files changed, programs and addresses called."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CHANGES = {"os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.chmod"}
_CALLS = {
    "os.system",
    "os.exec",
    "os.fork",
    "os.posix_spawn",
    "subprocess.Popen",
    "socket.connect",
    "socket.getaddrinfo",
    "webbrowser.open",
    "urllib.Request",
}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Watch:
    """Gathers what is done while it looks; a hook for all of Python, which stays for good."""

    def __init__(self) -> None:
        self._home: str | None = None
        self._seen: list[str] = []
        sys.addaudithook(self._hook)

    @contextmanager
    def over(self, home: Path) -> Iterator[list[str]]:
        """What is done in the block that should not be; files below `home` may be written."""
        self._seen = []
        self._home = f"{home.resolve()}{os.sep}"
        try:
            yield self._seen
        finally:
            self._home = None

    def _hook(self, event: str, arguments: tuple[object, ...]) -> None:
        if self._home is None:
            return
        if event in _CALLS or (event in _CHANGES and not self._is_home(_absolute(*arguments))):
            self._seen.append(f"{event} {arguments[0]!r}")
        elif event == "open" and self._is_writing(arguments[0], arguments[2]):
            self._seen.append(f"open {arguments[0]!r} to write")

    def _is_writing(self, path: object, flags: object) -> bool:
        asked = isinstance(flags, int) and flags & _WRITING
        return bool(asked) and not isinstance(path, int) and not self._is_home(path)

    def _is_home(self, path: object) -> bool:
        text = os.fsdecode(path) if isinstance(path, str | bytes) else str(path)
        return f"{Path(text).resolve()}{os.sep}".startswith(str(self._home))


def _absolute(path: object, *more: object) -> object:
    """A path that may be told from an open directory on, which is the last thing told."""
    folder = more[-1] if more else -1
    is_within = isinstance(folder, int) and folder >= 0 and not str(path).startswith("/")
    return Path(f"/proc/self/fd/{folder}").resolve() / str(path) if is_within else path
