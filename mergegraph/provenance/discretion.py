"""Discretion: what texts tell of the machine they were written on, told with less."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

_END = r"(?=[/\\\s'\"`,;:\])}>+@]|$)"  # of a folder's name in running text
_START = r"(?<![\w.~/\\:-])"
_PART = r"[^\s'\"`,;:\]\[(){}<>|+@/\\]+"
# a path from the root or from a home, or one from a drive of Windows
_LOCAL = re.compile(rf"{_START}(?:(?:~[\w.-]*)?(?:/{_PART})+/?|[A-Za-z]:(?:[/\\]{_PART})+[/\\]?)")
_PARTS = 2


def without_home(text: str) -> str:
    """The text with `~` in place of the user's home directory."""
    home = _home()
    if home is None:
        return text
    pattern = rf"(?<![\w.-]){re.escape(home)}{_END}"
    return re.sub(pattern, "~", text)


def without_places(texts: Iterable[str]) -> Callable[[str], str]:
    """Cuts local paths down to their last parts: as many as tell those in some texts apart."""
    told = list(texts)
    places = dict.fromkeys(found.group() for text in told for found in _LOCAL.finditer(text))
    parts = {place: _parts(place) for place in places if len(_parts(place)) >= _PARTS}
    taken = {text for text in told if text not in parts}
    names = {place: _short(each, parts.values(), taken) for place, each in parts.items()}

    def cut(text: str) -> str:
        return _LOCAL.sub(lambda found: names.get(found.group(), found.group()), text)

    return cut


def is_local_path(text: str) -> bool:
    """Whether a text is a path that begins at the root, on a drive or at a home."""
    found = _LOCAL.match(text)
    return found is not None and len(_parts(found.group())) >= _PARTS


def _home() -> str | None:
    """The home directory; None if there is none, or it is the root of all files."""
    try:
        home = Path.home()
    except RuntimeError:
        return None
    return str(home) if len(home.parts) >= _PARTS else None


def _short(
    parts: tuple[str, ...], others: Iterable[tuple[str, ...]], taken: Collection[str]
) -> str:
    """The fewest last parts of a path that no other ends with, nor is called."""
    rivals = [each for each in others if each != parts]
    for count in range(1, len(parts)):
        ends = parts[-count:]
        name = "/".join(ends)
        if name not in taken and not any(each[-count:] == ends for each in rivals):
            return name
    return "/".join(parts)


def _parts(path: str) -> tuple[str, ...]:
    return tuple(part for part in re.split(r"[/\\]", path) if part)
