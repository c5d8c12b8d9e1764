"""Errors that the user can mend."""

from __future__ import annotations

import errno
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches

from mergegraph.secrecy import without_secrets

_LONGEST = 2000  # letters of a line
_MOST = 100  # problems that are told at once


class MergeGraphError(Exception):
    """Something the user can mend; its text says what, where and how. Printed without traceback.

    Each argument is a line. What a file put into it steers no terminal and begins no other line,
    and whatever it was made of, no token or password is read in it.
    """

    def __init__(self, *lines: str) -> None:
        super().__init__(*map(without_secrets, lines))

    def __str__(self) -> str:
        return "\n".join(_shortened(printable(str(line))) for line in self.args)


class RunError(MergeGraphError):
    """A run that was right when it was planned and failed while running."""


class ChangedError(RunError):
    """An input that is not what it was when it was planned; what was made of it is not right."""


class KernelError(RunError):
    """A kernel that failed, or gave what it should not; of which tensor is not yet said."""


class MergeWarning(UserWarning):
    """Something that may not be what the user wants, though it can be done.

    What a method warns of is a note of the plan; merges in memory warn of what they find.
    """


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, and where."""

    place: str
    fact: str

    def __str__(self) -> str:
        return f"{self.place}: {self.fact}" if self.place else self.fact


class ProblemsError(MergeGraphError):
    """Every problem of one kind, found before any work is done."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(dict.fromkeys(problems))
        more = len(self.problems) - _MOST
        rest = (f"... and {more} more problems",) if more > 0 else ()
        super().__init__(*map(str, self.problems[:_MOST]), *rest)


def printable(text: str) -> str:
    """A text on one line, with an escape for what would steer a terminal."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode()


def _shortened(line: str) -> str:
    """A line without its middle, if a file put a book into it."""
    half = _LONGEST // 2
    return line if len(line) <= _LONGEST else f"{line[:half]} ... {line[-half:]}"


_OUT_OF_FILES = (errno.EMFILE, errno.ENFILE)
_OUT_OF_MEMORY = re.compile(
    "allocate memory|not enough memory|unable to allocate|out of memory|bad_alloc|failed to map",
    re.IGNORECASE,
)


def in_a_line(error: MergeGraphError) -> str:
    """An error of several lines in one."""
    return "; ".join(str(error).splitlines())


def refusal(error: BaseException) -> str | None:
    """What to tell of an error by which the system refuses something; None for any other."""
    text, number = str(error), getattr(error, "errno", None)
    if isinstance(error, MemoryError) or number == errno.ENOMEM or _OUT_OF_MEMORY.search(text):
        return "the system refuses more memory; allow less with --memory, or fewer --threads"
    if isinstance(error, RuntimeError) and "start new thread" in text:
        return "the system refuses another thread; allow fewer with --threads, or more with ulimit"
    if number in _OUT_OF_FILES:
        return "the system refuses to open another file; allow more with ulimit -n"
    return None


def failed(op: str, error: BaseException) -> KernelError:
    """What to tell of an op's own code that fails."""
    return KernelError(f"{op}: {refusal(error) or f'{type(error).__name__}: {error}'}")


@contextmanager
def told_refusals() -> Iterator[None]:
    """Say in a sentence what the system refuses, wherever that is noticed."""
    try:
        yield
    except MergeGraphError:
        raise
    except Exception as error:
        told = refusal(error)
        if told is None and isinstance(error, OSError) and error.filename:
            told = f"{error.filename}: {error.strerror}"
        if told is None:
            raise
        raise RunError(told) from error


@contextmanager
def told_of(what: str) -> Iterator[None]:
    """Say of whatever fails in a stranger's code what it is the code of."""
    try:
        yield
    except MergeGraphError:
        raise
    except (Exception, SystemExit) as error:
        raise MergeGraphError(f"{what} failed: {type(error).__name__}: {error}") from error


@contextmanager
def noting(note: Callable[[str], None]) -> Iterator[None]:
    """Give every MergeWarning of the block to `note`; others go where they would have gone."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always", MergeWarning)
        yield
    for each in found:
        if issubclass(each.category, MergeWarning):
            note(str(each.message))
        else:
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)


def nearest(word: str, known: Iterable[str], *, only_close: bool = False) -> str:
    """A remedy for a word nobody knows: `; did you mean 'density'?`, or the known words."""
    words = sorted(set(known))
    longer = [each for each in words if word and each.startswith(word)]
    if close := longer[:1] or get_close_matches(word, words, n=1, cutoff=0.6):
        return f"; did you mean '{close[0]}'?"
    if only_close:
        return ""
    return f"; known: {', '.join(words)}" if words else ""
