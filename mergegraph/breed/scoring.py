"""Scores of members, each found once: by the laboratory, or by what the journal knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from mergegraph.errors import RunError
from mergegraph.evaluators import Scores
from mergegraph.search.compiling import Asked
from mergegraph.search.examining import Examination
from mergegraph.search.journal import Journal
from mergegraph.search.laboratory import Laboratory, Outcome

_SCORED = "scores"


@dataclass(frozen=True)
class Scored:
    """The scores of a model, or the problem for which there are none; equal models have one key."""

    scores: Scores | None
    problem: str | None
    key: str
    seconds: float
    is_remembered: bool = False

    @classmethod
    def of(cls, outcome: Outcome) -> Scored:
        """What a laboratory found."""
        return cls(outcome.scores, outcome.problem, outcome.key, outcome.seconds)


OnScored = Callable[[str, Scored], None]


class Scoring:
    """Has recipes examined, and remembers."""

    def __init__(self, laboratory: Laboratory, journal: Journal) -> None:
        self._laboratory = laboratory
        self._journal = journal
        self.examined = 0

    def of(
        self,
        asked: Sequence[Asked],
        examination: Examination,
        on_scored: OnScored = lambda _name, _scored: None,
        *,
        again: bool = False,
    ) -> list[Scored]:
        """What comes of each recipe; `on_scored` is told of each as soon as it is known.

        What failed before is tried `again` if asked: what reports has no say in what comes next.
        """
        keys = [_key(examination, each.text) for each in asked]
        found: dict[str, Scored] = {}
        for key, each in zip(keys, asked, strict=True):
            known = self._known(key)
            if known is not None and (known.scores is not None or not again):
                found[key] = known
                on_scored(each.name, found[key])
        new = [number for number, key in enumerate(keys) if key not in found]

        def note(number: int, outcome: Outcome) -> None:
            key, scored = keys[new[number]], Scored.of(outcome)
            found[key] = scored
            self.examined += outcome.scores is not None and not outcome.is_repeated
            self._journal.note(_SCORED, key, _told(scored))
            on_scored(asked[new[number]].name, scored)

        self._laboratory.scores([asked[number] for number in new], examination, note)
        return [found[key] for key in keys]

    def of_model(
        self, reference: str, examination: Examination, on_scored: OnScored = lambda _n, _s: None
    ) -> Scored:
        """What comes of a model that is there; raises RunError if it has no scores."""
        key = _key(examination, f"the model {reference}")
        known = self._known(key)
        if known is not None:
            found = known
        else:
            found = Scored.of(self._laboratory.score(reference, examination))
            if found.scores is None:
                raise RunError(f"{reference}: {found.problem}")
            self.examined += 1
            self._journal.note(_SCORED, key, _told(found))
        on_scored(reference, found)
        return found

    def _known(self, key: str) -> Scored | None:
        """What the journal knows."""
        if not self._journal.knows(_SCORED, key):
            return None
        return Scored(**self._journal.fact(_SCORED, key), is_remembered=True)


def _key(examination: Examination, text: str) -> str:
    return sha256(f"{examination.digest}\n{text}".encode()).hexdigest()


def _told(scored: Scored) -> Mapping[str, Any]:
    return {
        "scores": None if scored.scores is None else dict(scored.scores),
        "problem": scored.problem,
        "key": scored.key,
        "seconds": round(scored.seconds, 3),
    }
