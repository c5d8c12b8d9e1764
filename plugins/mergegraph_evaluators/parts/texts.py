"""Local texts, and the lines by which it is seen that two have something in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path

from mergegraph import MergeGraphError

_LONG = 16  # letters of a line that is no other text's by chance
_SHOWN = 32


def files_in(words: str) -> list[Path]:
    """The files that words such as `a.txt+b.txt` name; raises MergeGraphError if one is not there.

    A file whose own name has a + in it is that file.
    """
    whole = Path(words).expanduser()
    found = [whole] if whole.is_file() else [Path(each).expanduser() for each in words.split("+")]
    for each in found:
        if each == Path():
            raise MergeGraphError(f"{words}: a name is missing beside a +; write a.txt+b.txt")
        if not each.is_file():
            raise MergeGraphError(f"{each}: no such file of text")
    return found


def text_of(path: Path) -> str:
    """What a file holds, with its lines ended as everywhere; raises MergeGraphError."""
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise MergeGraphError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise MergeGraphError(f"{path}: is not text in UTF-8, from byte {error.start} on") from None


def pieces_of(files: Sequence[Path]) -> Iterator[str]:
    """A piece for each line of files, and one for the whole of each.

    Spaces do not count, nor short lines, unless there are no others.
    """
    for path in files:
        text = text_of(path)
        yield f"a file #{_digest(text)}"
        lines = [" ".join(line.split()) for line in text.splitlines()]
        yield from map(_piece, _telling(lines))


def _telling(lines: Sequence[str]) -> Iterable[str]:
    """The lines that tell a text from others."""
    return [each for each in lines if len(each) >= _LONG] or [each for each in lines if each]


def _piece(line: str) -> str:
    start = line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."
    return f"{start} #{_digest(line)}"


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
