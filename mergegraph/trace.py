"""A trace of a run: what every thread did and when, for Perfetto or chrome://tracing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import current_thread
from time import perf_counter
from typing import Any

from mergegraph.errors import MergeGraphError, RunError

_MICROSECONDS = 1e6
_BEGINNING = b'{"traceEvents"'


class Trace:
    """Gathers spans of time, with what is to be known of each; any thread may add to it."""

    def __init__(self, *, is_wanted: bool = True) -> None:
        self.is_wanted = is_wanted
        self.began = perf_counter()
        self._spans: list[tuple[str, str, float, float, Mapping[str, Any]]] = []

    @contextmanager
    def span(self, name: str, **facts: Any) -> Iterator[None]:
        """Note how long the block takes; `facts` are shown beside it."""
        began = perf_counter()
        yield
        self.add(name, began, perf_counter(), facts)

    def add(self, name: str, began: float, ended: float, facts: Mapping[str, Any]) -> None:
        """Note what this thread did from one time of `perf_counter` to another."""
        if self.is_wanted:
            self._spans.append((name, self.thread(), began, ended, facts))

    def thread(self) -> str:
        """The name of the thread that is at work."""
        return current_thread().name

    def write(self, path: Path) -> None:
        """Write it in the Trace Event format; raises OSError."""
        events = [*self._threads(), *self._events()]
        with path.open("w", encoding="utf-8") as file:
            json.dump({"traceEvents": events, "displayTimeUnit": "ms"}, file)

    def _numbers(self) -> dict[str, int]:
        """A number for every thread, by its name."""
        return {name: i for i, name in enumerate(sorted({each[1] for each in self._spans}))}

    def _threads(self) -> Iterator[dict[str, Any]]:
        for name, number in self._numbers().items():
            named = {"name": "thread_name", "args": {"name": name}}
            yield {"ph": "M", "pid": os.getpid(), "tid": number, **named}

    def _events(self) -> Iterator[dict[str, Any]]:
        numbers = self._numbers()
        for name, thread, began, ended, facts in self._spans:
            yield {
                "ph": "X",
                "name": name,
                "pid": os.getpid(),
                "tid": numbers[thread],
                "ts": round((began - self.began) * _MICROSECONDS, 1),
                "dur": round((ended - began) * _MICROSECONDS, 1),
                "args": dict(facts),
            }


NO_TRACE = Trace(is_wanted=False)


@contextmanager
def traced(path: str | os.PathLike[str] | None, trace: Trace | None = None) -> Iterator[Trace]:
    """A trace for what happens in the block, written to a file after it; raises RunError."""
    trace = trace or Trace(is_wanted=path is not None)
    if path is not None and (Path(path).is_dir() or not os.access(Path(path).parent, os.W_OK)):
        raise MergeGraphError(
            f"--trace {path}: cannot be written; name a file in a folder there is"
        )
    if path is not None and not _is_ours(Path(path)):
        raise MergeGraphError(f"--trace {path}: is there, and is no trace; name another file")
    try:
        yield trace
    finally:
        if path is not None:
            _write_trace(trace, Path(path))


def _is_ours(path: Path) -> bool:
    """Whether nothing is lost if a trace is written here."""
    if not path.exists():
        return True
    with path.open("rb") as file:
        return file.read(len(_BEGINNING)) in (_BEGINNING, b"")


def _write_trace(trace: Trace, path: Path) -> None:
    try:
        trace.write(path)
    except OSError as error:
        raise RunError(f"--trace {path}: cannot be written: {error.strerror}") from error
