"""Zip archives of plain records: where each record's bytes are, found by ranges of the file."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from mergegraph.errors import MergeGraphError
from mergegraph.files.trees import Tree

_HEADER = 30  # bytes that stand before a record's name
_MARK = b"PK\x03\x04"
_ENCRYPTED = 1
_DESCRIBED = 8  # a flag: sizes stand behind the record, too
_WIDE = 0xFFFFFFFF  # from here on they take eight bytes each
_DESCRIPTION = (16, 24)  # bytes that they take, narrow and wide
_ALIGNED = 64  # where torch lets records start
_FAR = 4096  # no record of torch's starts this far behind its name
_AHEAD = 256 * 1024  # bytes read at once: the list of records, or the small ones in front


@dataclass(frozen=True, slots=True)
class Record:
    """The bytes of one record: `[offset, offset + nbytes)` of the file."""

    offset: int
    nbytes: int


@dataclass(frozen=True)
class Archive:
    """A zip archive by its list of records, named without the folder that all of them are in."""

    tree: Tree
    name: str
    nbytes: int
    listed: Mapping[str, zipfile.ZipInfo]
    ends: Mapping[str, int]

    @property
    def label(self) -> str:
        """What it is called in messages."""
        return str(self.tree.root / self.name)

    def __contains__(self, record: str) -> bool:
        return record in self.listed

    def text(self, record: str, most: int) -> bytes:
        """The content of a small record; raises MergeGraphError if it is not small."""
        place = self.record(record)
        if place.nbytes > most:
            raise MergeGraphError(f"{self.label}: its {record} is too large to be read")
        content = self.tree.read(self.name, place.offset, place.offset + place.nbytes)
        if zlib.crc32(content) != self.listed[record].CRC:
            raise MergeGraphError(f"{self.label}: damaged: its {record} does not match its sum")
        return content

    def record(self, record: str) -> Record:
        """Where a record is; raises MergeGraphError if it cannot be read as it stands."""
        found = self.listed[record]
        if found.flag_bits & _ENCRYPTED:
            raise MergeGraphError(f"{self.label}: its records are encrypted")
        if found.compress_type != zipfile.ZIP_STORED or found.compress_size != found.file_size:
            fact = "its records are compressed, and cannot be read in part"
            raise MergeGraphError(f"{self.label}: {fact}; load it with torch and save it again")
        start = self._likely(found, self.ends[record]) or self._told(found)
        if start + found.file_size > self.nbytes:
            raise MergeGraphError(f"{self.label}: ends before its {record} does; is it complete?")
        return Record(start, found.file_size)

    def _likely(self, found: zipfile.ZipInfo, end: int) -> int | None:
        """Where torch puts a record, by where the next one begins; None where that cannot be.

        It saves a request for each record of a file that is far away.
        """
        if self.tree.is_local:
            return None
        is_wide = max(found.header_offset, found.file_size) >= _WIDE
        behind = _DESCRIPTION[is_wide] if found.flag_bits & _DESCRIBED and found.file_size else 0
        start = end - behind - found.file_size
        before = start - found.header_offset - _HEADER - len(found.filename.encode())
        return start if start % _ALIGNED == 0 and 0 <= before < _FAR else None

    def _told(self, found: zipfile.ZipInfo) -> int:
        at = found.header_offset
        head = self.tree.read(self.name, at, at + _HEADER)
        if len(head) < _HEADER or not head.startswith(_MARK):
            fact = f"no record is where {found.filename} should be"
            raise MergeGraphError(f"{self.label}: damaged: {fact}")
        lengths = (int.from_bytes(head[i : i + 2], "little") for i in (26, 28))
        return at + _HEADER + sum(lengths)


def open_archive(tree: Tree, name: str) -> Archive:
    """List the records of a zip archive; raises MergeGraphError if there is no sound list."""
    label = tree.root / name
    try:
        with zipfile.ZipFile(io.BufferedReader(_File(tree, name), _AHEAD)) as found:
            infos, behind = found.infolist(), found.start_dir
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
        fact = f"damaged or cut, its list of records cannot be read ({error})"
        raise MergeGraphError(f"{label}: {fact}; is the download complete?") from error
    if not infos:
        raise MergeGraphError(f"{label}: a zip archive with nothing in it")
    listed: dict[str, zipfile.ZipInfo] = {}
    folders = {each.filename.partition("/")[0] for each in infos}
    for each in infos:
        record = each.filename.partition("/")[2]
        if record in listed or len(folders) != 1 or not 0 <= each.header_offset < behind:
            raise MergeGraphError(f"{label}: not an archive of torch: {each.filename!r} is odd")
        listed[record] = each
    starts = sorted(each.header_offset for each in infos)
    following = dict(zip(starts, [*starts[1:], behind], strict=True))
    ends = {record: following[each.header_offset] for record, each in listed.items()}
    return Archive(tree, name, tree.nbytes(name), listed, ends)


class _File(io.RawIOBase):
    """A file that is read by ranges, as zipfile wants it."""

    def __init__(self, tree: Tree, name: str) -> None:
        self._tree, self._name = tree, name
        self._nbytes = tree.nbytes(name)
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._nbytes}[whence]
        self._at = max(0, origin + offset)
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        stop = min(self._at + len(buffer), self._nbytes)
        data = self._tree.read(self._name, self._at, stop) if stop > self._at else b""
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
