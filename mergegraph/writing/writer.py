"""Writing strips to files, by a thread of its own, past the page cache where the system allows.

Pages of a cache are memory that has to be found, filled and written later; a disk that is written
to directly takes the bytes at its own speed, and the processor is free meanwhile. What does not
fill whole blocks goes the ordinary way.
"""

from __future__ import annotations

import os
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from errno import EDQUOT, EFBIG, EIO, ENOSPC, EROFS
from mmap import mmap
from pathlib import Path
from queue import SimpleQueue
from threading import Condition, Event, Thread
from typing import Any

from mergegraph.errors import RunError, refusal
from mergegraph.machine import disk_of, files_at_once, sized
from mergegraph.trace import NO_TRACE, Trace

PARTIAL = ".partial"  # what the directory of an unfinished result ends in
BLOCK = 4096  # what disks want offsets, lengths and addresses to be multiples of
_CHUNK = 256 * 1024  # bytes of a buffer
_BUFFERS = 16
_TOGETHER = 8  # buffers written by one call
_WORTHWHILE = 64 * 1024  # bytes; to go past the cache with less takes longer
_FINAL = {EDQUOT, EFBIG, EIO, ENOSPC, EROFS}  # whichever way one writes
_DIRTY = 8 * 1024 * 1024  # bytes that may gather in the cache before they are sent to the disk


class File:
    """A file that is being written: past the page cache where it can be, else through it.

    It is opened when there is something to write, and again after it was closed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._plain: int | None = None
        self._direct: int | None = None
        self._takes_direct = hasattr(os, "O_DIRECT")
        self._dirty = 0

    def close(self) -> None:
        """Close it, if only for now: systems allow a process so many open files."""
        for descriptor in (self._plain, self._direct):
            if descriptor is not None:
                os.close(descriptor)
        self._plain = self._direct = None

    def _open(self) -> int:
        if self._plain is None:
            self._plain = os.open(self.path, os.O_WRONLY | getattr(os, "O_BINARY", 0))
            if self._takes_direct:
                try:
                    self._direct = os.open(self.path, os.O_WRONLY | os.O_DIRECT)
                except OSError:
                    self._takes_direct = False
        return self._plain

    def write(self, offset: int, parts: list[memoryview], *, whole_blocks: bool) -> None:
        """Write neighbouring parts, the first of which stands at `offset`."""
        nbytes = sum(map(len, parts))
        done = 0
        plain = self._open()
        if self._direct is not None and whole_blocks and nbytes >= _WORTHWHILE:
            try:
                done = os.pwritev(self._direct, parts, offset)
            except OSError as error:
                if error.errno in _FINAL:
                    raise
                self._no_longer_direct()  # some take O_DIRECT, but not the bytes
        for part in parts:
            if done < len(part):
                self._write_plainly(plain, offset + done, part[done:])
            offset += len(part)
            done = max(0, done - len(part))

    def _write_plainly(self, plain: int, offset: int, data: memoryview) -> None:
        self._dirty += len(data)
        while data:
            count = _write_at(plain, data, offset)
            if count == 0:
                raise OSError(EIO, "the system takes no bytes")
            data, offset = data[count:], offset + count
        if self._dirty >= _DIRTY and hasattr(os, "posix_fadvise"):
            first = max(0, offset - 8 * _DIRTY)
            os.posix_fadvise(plain, first, offset - first, os.POSIX_FADV_DONTNEED)
            self._dirty = 0

    def _no_longer_direct(self) -> None:
        self._takes_direct = False
        if self._direct is not None:
            os.close(self._direct)
            self._direct = None


@dataclass(frozen=True)
class _Piece:
    """Bytes on their way to a place in a file, in a buffer that is to be given back."""

    file: File
    offset: int
    data: memoryview
    buffer: mmap

    @property
    def is_whole(self) -> bool:
        """Whether it is blocks of the disk, from the first byte to the last."""
        return self.offset % BLOCK == 0 and len(self.data) % BLOCK == 0

    def is_followed_by(self, other: object) -> bool:
        """Whether another job is a piece that can be written together with this one."""
        if not isinstance(other, _Piece) or other.file is not self.file:
            return False
        are_neighbours = self.offset + len(self.data) == other.offset
        return are_neighbours and self.is_whole and other.is_whole


_Job = _Piece | Callable[[], object] | None  # to write, to call, or to end


class Writer:
    """Takes bytes and writes them in the order in which they come; calls may come between them.

    `write` waits while all buffers are full. Raises RunError at the next call once a write failed.
    """

    def __init__(self, trace: Trace = NO_TRACE) -> None:
        self._trace = trace
        self._free: SimpleQueue[mmap] = SimpleQueue()
        for _ in range(_BUFFERS):
            self._free.put(mmap(-1, _CHUNK))
        self._jobs: deque[_Job] = deque()
        self._arrival = Condition()
        self._error: BaseException | None = None
        self._end = Event()
        self._written: OrderedDict[File, None] = OrderedDict()  # last the one written last
        self._most = files_at_once()
        Thread(target=self._work, name="writer", daemon=True).start()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Write what was handed in, and then no more."""
        self._hand_in(None)
        self._end.wait()

    def write(self, file: File, offset: int, data: Any) -> None:
        """Write a flat tensor of bytes at an offset; it may be changed as soon as this returns."""
        import torch

        for start, stop in _pieces(offset, len(data)):
            self._check()
            buffer = self._free.get()
            room = memoryview(buffer)[: stop - start]
            torch.frombuffer(room, dtype=torch.uint8).copy_(data[start:stop])
            self._hand_in(_Piece(file, offset + start, room, buffer))

    def then(self, call: Callable[[], object]) -> None:
        """Have something done once all that was handed in before is written, and well."""
        self._check()
        self._hand_in(lambda: None if self._error else call())

    def drain(self) -> None:
        """Wait until all is written."""
        reached = Event()
        self._hand_in(reached.set)
        reached.wait()
        self._check()

    def _hand_in(self, job: _Job) -> None:
        with self._arrival:
            self._jobs.append(job)
            self._arrival.notify()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        """Do the jobs in order: the life of the thread."""
        while (jobs := self._next())[0] is not None:
            try:
                if callable(jobs[0]):
                    jobs[0]()
                else:
                    self._put_down([each for each in jobs if isinstance(each, _Piece)])
            except BaseException as error:  # noqa: BLE001 - raised again where bytes are handed in
                self._error = self._error or error
        self._end.set()

    def _next(self) -> list[_Job]:
        """The next job, with the pieces that can be written together with it."""
        with self._arrival:
            self._arrival.wait_for(lambda: self._jobs)
            jobs = [self._jobs.popleft()]
            while self._jobs and len(jobs) < _TOGETHER:
                last = jobs[-1]
                if not isinstance(last, _Piece) or not last.is_followed_by(self._jobs[0]):
                    break
                jobs.append(self._jobs.popleft())
            return jobs

    def _make_room(self, file: File) -> None:
        """Close those that were written longest ago."""
        self._written[file] = None
        self._written.move_to_end(file)
        while len(self._written) > self._most:
            self._written.popitem(last=False)[0].close()

    def _put_down(self, pieces: list[_Piece]) -> None:
        file, parts = pieces[0].file, [each.data for each in pieces]
        try:
            if self._error is None:
                self._make_room(file)
                with self._trace.span("write", file=file.path.name, nbytes=sum(map(len, parts))):
                    file.write(pieces[0].offset, parts, whole_blocks=pieces[0].is_whole)
        except OSError as error:
            raise cannot_write(file.path, error) from error
        finally:
            for each in pieces:
                self._free.put(each.buffer)


def cannot_write(path: Path, error: OSError) -> RunError:
    """What to tell the user of a failed write."""
    fact = f"{path}: cannot be written: {error.strerror or error}"
    if error.errno in (ENOSPC, EDQUOT):
        missing = missing_room(path)
        more = f"; about {sized(missing)} more are needed" if missing > 0 else ""
        return RunError(f"{fact}{more}; make room, and the same command continues")
    if error.errno == EFBIG:
        return RunError(f"{fact}; allow larger files with ulimit -f, or less with --shard-size")
    if told := refusal(error):
        return RunError(f"{path}: {told}")
    return RunError(f"{fact}; mend that, and the same command continues")


def missing_room(path: Path) -> int:
    """The bytes that an unfinished result is still to take, less those that are free."""
    folder = next((each for each in (path, *path.parents) if each.suffix == PARTIAL), None)
    if folder is None:
        return 0
    try:
        return unwritten(folder) - disk_of(folder).free
    except OSError:
        return 0


def unwritten(folder: Path) -> int:
    """The bytes of files, all below a folder, for which the disk has not yet given room."""
    found = (each.stat() for each in folder.rglob("*") if each.is_file())
    return sum(max(0, each.st_size - 512 * getattr(each, "st_blocks", 0)) for each in found)


def _pieces(offset: int, nbytes: int) -> Iterator[tuple[int, int]]:
    """Where to cut: whole blocks of the file together, as far as a buffer holds them."""
    at = 0
    while at < nbytes:
        skipped = (offset + at) % BLOCK
        size = BLOCK - skipped if skipped else min(_CHUNK, (nbytes - at) // BLOCK * BLOCK)
        end = min(nbytes, at + (size or BLOCK))
        yield at, end
        at = end


def _write_at(descriptor: int, data: memoryview, offset: int) -> int:
    if hasattr(os, "pwrite"):
        return os.pwrite(descriptor, data, offset)
    os.lseek(descriptor, offset, os.SEEK_SET)
    return os.write(descriptor, data)
