"""Small reads of far files, made of blocks that are kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

BLOCK = 2**16  # the header of a shard fits in one, as a rule
_AT_ONCE = 16  # reads of more blocks than this are not kept
_KEPT = 512
_REQUESTS = 8

ReadRange = Callable[[str, int, int], bytes]  # a file's name and its bytes from start to stop


class Blocks:
    """What was read of files, in blocks; `read_range` brings what is missing."""

    def __init__(self, read_range: ReadRange, nbytes: Callable[[str], int]) -> None:
        self._read_range = read_range
        self._nbytes = nbytes
        self._kept: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._lock = Lock()

    def read(self, name: str, start: int, stop: int) -> bytes:
        """The bytes of a file from start to stop; several blocks that are missing come at once."""
        first, last = start // BLOCK, -(-stop // BLOCK)
        if last - first > _AT_ONCE:
            return self._read_range(name, start, stop)
        blocks = self._blocks(name, range(first, last))
        return b"".join(blocks)[start - first * BLOCK : stop - first * BLOCK]

    def begin(self, names: Iterable[str]) -> None:
        """Read the first blocks of files, several at once."""
        with ThreadPoolExecutor(_REQUESTS) as pool:
            list(pool.map(lambda name: self._blocks(name, range(1)), names))

    def _blocks(self, name: str, numbers: range) -> list[bytes]:
        with self._lock:
            found = {n: self._kept[name, n] for n in numbers if (name, n) in self._kept}
        missing = [n for n in numbers if n not in found]
        if missing:
            first, last = missing[0], missing[-1] + 1
            stop = min(last * BLOCK, self._nbytes(name))
            data = self._read_range(name, first * BLOCK, stop)
            for n in range(first, last):
                found[n] = data[(n - first) * BLOCK : (n - first + 1) * BLOCK]
            self._keep(name, {n: found[n] for n in range(first, last)})
        return [found[n] for n in numbers]

    def _keep(self, name: str, blocks: dict[int, bytes]) -> None:
        with self._lock:
            self._kept.update({(name, n): block for n, block in blocks.items()})
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
