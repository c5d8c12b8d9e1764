"""The door that all printing goes through, at which secrets are taken out."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from traceback import format_exception
from types import TracebackType
from typing import Any, TextIO

from mergegraph.secrecy import without_secrets


class _Guarded:
    """A stream to which texts are written without their secrets."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text; gives its length, as streams do."""
        self._stream.write(without_secrets(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write lines."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def guarded() -> Iterator[None]:
    """Have everything that is printed in the block, by whomever, told without secrets.

    So is the traceback of what the block raises, which is printed when the process ends.
    """
    before = sys.stdout, sys.stderr
    guards: Any = tuple(each and _Guarded(each) for each in before)  # a closed stream is None
    sys.stdout, sys.stderr = guards
    try:
        yield
    except Exception:
        sys.excepthook = _print_traceback
        raise
    finally:
        sys.stdout, sys.stderr = before


def _print_traceback(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    sys.stderr.write(without_secrets("".join(format_exception(kind, error, trace))))
