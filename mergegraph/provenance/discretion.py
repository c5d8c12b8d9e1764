"""Discretion: what texts tell of the machine they were written on, told with less."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from itertools import chain, count
from pathlib import Path

_END = r"(?=[/\\\s'\"`,;:\])}>+@]|$)"  # of a folder's name in running text
_START = r"(?<![\w.~/\\:-])"
_PART = r"[^\s'\"`,;:\]\[(){}<>|+@/\\]+"
_INNER = rf"{_PART}(?: (?!#){_PART})*(?=[/\\])"  # a folder's name has spaces, if more follows
_NAME = rf"(?:{_INNER}|{_PART})"
# a path from the root or from a home, from a drive of Windows, or from another machine
_LOCAL = re.compile(
    rf"{_START}(?:(?:~[\w.-]*)?(?:/{_NAME})+/?|[A-Za-z]:(?:[/\\]+{_NAME})+[/\\]*)"
    rf"|(?<!\w)file:(?:/+{_NAME})+/?"
    rf"|(?<![\w\\])\\\\\w{_PART}(?:\\{_NAME})+|(?<![\w\\])\\{{4}}\w{_PART}(?:\\\\{_NAME})+"
)
_PARTS = 2


def without_home(text: str) -> str:
    """The text with `~` in place of the user's home directory."""
    home = _home()
    if home is None:
        return text
    pattern = rf"(?<![\w.-]){re.escape(home)}{_END}"
    return re.sub(pattern, "~", text)


def without_places(texts: Iterable[str], known: Iterable[str] = ()) -> Callable[[str], str]:
    """Cuts local paths down to their last parts, numbered where those of two are the same.

    Paths that are `known` are cut whole, whatever characters they have.
    """
    exact = sorted(filter(is_local_path, known), key=len, reverse=True)
    told = [*exact, *texts]
    pattern = _pattern(exact)
    places = dict.fromkeys(found.group() for text in told for found in pattern.finditer(text))
    parts = {place: _parts(place) for place in places if len(_parts(place)) >= _PARTS}
    names = _names(parts.values(), {text for text in told if text not in parts})

    def cut(text: str) -> str:
        def short(found: re.Match[str]) -> str:
            return names.get(_parts(found.group()), found.group())

        return pattern.sub(short, text)

    return cut


def is_local_path(text: str) -> bool:
    """Whether a text is a path that begins at the root, on a drive or at a home."""
    found = _LOCAL.match(text)
    return found is not None and len(_parts(found.group())) >= _PARTS


def last_part(path: str) -> str:
    """What a path ends with, be it of this system or of another."""
    return _parts(path)[-1]


def _home() -> str | None:
    """The home directory; None if there is none, or it is the root of all files."""
    try:
        home = Path.home()
    except RuntimeError:
        return None
    return str(home) if len(home.parts) >= _PARTS else None


def _pattern(exact: Iterable[str]) -> re.Pattern[str]:
    """Finds these paths, also as quoted YAML has them, and then all that look like one."""
    written = [(path, path.replace("'", "''"), path.replace("\\", "\\\\")) for path in exact]
    known = "|".join(re.escape(each) for spellings in written for each in spellings)
    whole = rf"{_START}(?:{known})[/\\]*(?![\w./\\-])|" if known else ""
    return re.compile(whole + _LOCAL.pattern)


def _names(paths: Iterable[tuple[str, ...]], taken: Collection[str]) -> dict[tuple[str, ...], str]:
    """The last part of each path, with a number where another is called so."""
    names: dict[tuple[str, ...], str] = {}
    used = set(taken)
    for parts in dict.fromkeys(paths):
        numbered = (f"{parts[-1]}-{number}" for number in count(2))
        names[parts] = next(n for n in chain([parts[-1]], numbered) if n not in used)
        used.add(names[parts])
    return names


def _parts(path: str) -> tuple[str, ...]:
    found = (part for part in re.split(r"[/\\]", path.removeprefix("file:")) if part)
    return tuple(part.replace("''", "'") for part in found)
