"""Files changed a little: bytes, lines, and values of JSON, by a generator of random numbers."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from fuzzing.wrong import WORDS, changed, dumped, parsed

Mutate = Callable[[bytes, Sequence[bytes], Random], bytes]

LARGEST = 200_000  # bytes of what is made
_PREFIX = 8
_PIECES = (
    b"\xef\xbb\xbf",
    b"\x00",
    b"\xff\xfe",
    b"\x1b[2J",
    b"\xc2\x9b",
    b"\xe2\x80\xae",
    b"\xed\xa0\x80",
    b"1e999",
    b"9" * 5000,
    b"[" * 3000,
    b"{" * 50,
    b"\n---\n",
    b"&a [*a]",
    b"*a",
    b"<<: *a",
    b"!!python/object/apply:os.system ['true']",
    b"? x",
    b"\t",
    b"%YAML 9.9\n",
    b"cos\nsystem\n",
    b"\x80\x02",
    b"R",
    b"q\x00",
    b".",
    *(word.encode("utf-8", "surrogatepass") for word in WORDS),
)


def of_bytes(data: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Bytes flipped, cut, repeated, put in, or taken from elsewhere."""
    first, last = sorted(random.randrange(len(data) + 1) for _ in range(2))
    before, middle, after = data[:first], data[first:last], data[last:]
    kind = random.randrange(7)
    if kind == 0 and middle:
        return before + bytes([middle[0] ^ 1 << random.randrange(8)]) + middle[1:] + after
    if kind in (1, 2):
        return before + middle * (0 if kind == 1 else random.randrange(2, 5)) + after
    if kind == 3:
        return before
    if kind == 4 and others:
        other = random.choice(others)
        return before + other[random.randrange(len(other) + 1) :]
    if kind == 5:
        number = struct.pack(random.choice(("<Q", "<I", "<H", "<B")), random.randrange(256))
        return before + number + data[first + len(number) :]
    return before + random.choice(_PIECES) + (after if random.random() < 0.3 else middle + after)


def of_lines(data: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Lines moved, repeated, left out, or with another word in them."""
    lines = data.split(b"\n")
    at, to = (random.randrange(len(lines)) for _ in range(2))
    kind = random.randrange(6)
    if kind == 0:
        lines.insert(to, lines[at])
    elif kind == 1:
        del lines[at]
    elif kind == 2:
        lines[at], lines[to] = lines[to], lines[at]
    elif kind == 3:
        lines[at] = b" " * random.randrange(1, 5) + lines[at]
    elif kind == 4 and others:
        lines.insert(to, random.choice(random.choice(others).split(b"\n")))
    else:
        key, colon, _ = lines[at].partition(b":")
        word = random.choice(_PIECES)
        lines[at] = key + colon + b" " + word if colon else word
    return b"\n".join(lines)


def of_json(data: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """JSON with a value or key changed; now and then its bytes."""
    try:
        found = parsed(data)
    except ValueError:
        return of_bytes(data, others, random)
    if random.random() < 0.15:
        return of_bytes(data, others, random)
    return dumped(changed(found, random))


def of_text(data: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Text of lines that may be JSON."""
    if data.lstrip().startswith((b"{", b"[")):
        return of_json(data, others, random)
    how = random.choice((of_lines, of_lines, of_bytes))
    return how(data, others, random)


def of_safetensors(data: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """A file with something else in its header, or other bytes."""
    length = int.from_bytes(data[:_PREFIX], "little")
    text, rest = data[_PREFIX : _PREFIX + length], data[_PREFIX + length :]
    kind = random.random()
    if kind < 0.2 or length > len(data):
        return of_bytes(data, others, random)
    if kind < 0.3:
        return data[:_PREFIX] + text + of_bytes(rest, others, random)
    text = of_json(text, (), random)
    return struct.pack("<Q", len(text)) + text + rest


def of_archive(data: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """A file of torch.save with another pickle, with other records, or with other bytes."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            records: list[tuple[str, bytes]] = [(n, archive.read(n)) for n in archive.namelist()]
    except Exception:  # noqa: BLE001 - zipfile raises anything for what is no archive
        records = []
    if not records or random.random() < 0.25:
        return of_bytes(data, others, random)
    at = random.randrange(len(records))
    pickles = [i for i, (name, _) in enumerate(records) if name.endswith("data.pkl")]
    at = pickles[0] if pickles and random.random() < 0.8 else at
    name, content = records[at]
    if random.random() < 0.1:
        name = random.choice((*WORDS[1:8], name + "x", records[0][0]))
    records[at] = (name, of_bytes(content, others, random))
    return zipped(records, random.choice((0, 0, 0, zipfile.ZIP_DEFLATED)))


def zipped(records: Sequence[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip archive of some records; names may come twice."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in records:
            info: Any = zipfile.ZipInfo(name.replace("\0", "_") or "x")
            info.compress_type = method
            archive.fp, archive.NameToInfo = archive.fp, {}  # else a name twice is warned of
            archive.writestr(info, content)
    return file.getvalue()


def mutated(mutate: Mutate, data: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """A file changed one to four times, and never grown out of bounds."""
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        data = mutate(data, others, random)[:LARGEST]
    return data
