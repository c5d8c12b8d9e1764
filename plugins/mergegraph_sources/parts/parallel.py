"""Several files brought at once; when one fails, the others stop."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from threading import Event

OnBytes = Callable[[int], None]  # told the bytes that just came, 0 as a sign of life

_FILES_AT_ONCE = 8


class StoppedError(Exception):
    """Another file failed, or the run was interrupted."""


def bring_all(
    names: Iterable[str], bring: Callable[[str, OnBytes], None], on_bytes: OnBytes
) -> None:
    """Bring files side by side; raises what the first that failed raised."""
    stop = Event()

    def counted(nbytes: int) -> None:
        if stop.is_set():
            raise StoppedError
        on_bytes(nbytes)

    with ThreadPoolExecutor(_FILES_AT_ONCE) as pool:
        tasks = [pool.submit(bring, name, counted) for name in names]
        try:
            done, _ = wait(tasks, return_when=FIRST_EXCEPTION)
            for task in done:
                task.result()
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
