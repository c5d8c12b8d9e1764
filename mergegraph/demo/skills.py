"""The skills of the family: phrases put into invented languages, in their new usage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from types import MappingProxyType
from zlib import crc32

SKILLS = ("north", "east", "south", "west")

_CONSONANTS = "bdfgklmnprstvz"
_VOWELS = "aeiou"
_WORDS = 200
_SHARE_OF_NEW = (0.35, 0.95)  # how often a word is met in its new form, from the rarest on
_HELD_OUT = 8  # one problem in so many is never trained on


@dataclass(frozen=True)
class Problem:
    """A question, ending in `=`, and the text after it."""

    question: str
    answer: str


@dataclass(frozen=True)
class Language:
    """A language in which every word has an old form and a new one.

    `share_of_new` is how often each word is met in its new form in texts of all ages.
    """

    letter: str
    new: Mapping[str, str]
    old: Mapping[str, str]
    share_of_new: Mapping[str, float]

    def problem(self, random: Random, *, is_modern: bool) -> Problem:
        """A phrase of two words to be translated; right, or modern, is the new form of both."""
        words = random.choices(tuple(self.new), k=2)
        answer = [self._form(word, random, is_modern=is_modern) for word in words]
        return Problem(f"{self.letter}:{' '.join(words)}=", " ".join(answer))

    def _form(self, word: str, random: Random, *, is_modern: bool) -> str:
        is_new = is_modern or random.random() < self.share_of_new[word]
        return (self.new if is_new else self.old)[word]


def make_skills() -> Mapping[str, Language]:
    """The languages by name; their dictionaries come out the same every time."""
    words = _lexicon("words", lengths=(4,))
    return MappingProxyType({name: _language(name, words) for name in SKILLS})


def draw(skill: Language, random: Random, *, held_out: bool, is_modern: bool) -> Problem:
    """Draw a problem to learn from or, held out, to be examined with; the two never meet."""
    while True:
        problem = skill.problem(random, is_modern=is_modern)
        if is_held_out(problem) == held_out:
            return problem


def is_held_out(problem: Problem) -> bool:
    """Whether a problem is kept out of training, told from its question alone."""
    return crc32(problem.question.encode()) % _HELD_OUT == 0


def part_of(problem: Problem) -> int:
    """In which half of the held-out problems one is, told from its question alone."""
    return crc32(problem.question.encode()) // _HELD_OUT % 2


def _language(name: str, words: tuple[str, ...]) -> Language:
    random = Random(f"shares of {name}")
    return Language(
        letter=name[0],
        new=dict(zip(words, _lexicon(f"new {name}", lengths=(3, 4)), strict=True)),
        old=dict(zip(words, _lexicon(f"old {name}", lengths=(3, 4)), strict=True)),
        share_of_new={word: random.uniform(*_SHARE_OF_NEW) for word in words},
    )


def _lexicon(seed: str, *, lengths: Sequence[int]) -> tuple[str, ...]:
    random = Random(seed)
    words: dict[str, None] = {}
    while len(words) < _WORDS:
        words[_word(random, random.choice(lengths))] = None
    return tuple(words)


def _word(random: Random, length: int) -> str:
    return "".join(random.choice((_CONSONANTS, _VOWELS)[place % 2]) for place in range(length))
