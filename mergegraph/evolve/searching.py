"""A search: generations asked, made and examined, each trial written down as it is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from mergegraph.errors import MergeGraphError, RunError
from mergegraph.evolve.genes import Point
from mergegraph.evolve.journal import Entry, Journal
from mergegraph.evolve.pareto import front_of
from mergegraph.evolve.request import Asking
from mergegraph.evolve.sampling import Losses
from mergegraph.search.compiling import Asked
from mergegraph.search.examining import Examination
from mergegraph.search.laboratory import Laboratory, Outcome

_HOPELESS = 3  # generations without a single score

OnTrial = Callable[[Entry], None]
OnGeneration = Callable[[], None]


@dataclass(frozen=True)
class Found:
    """What a search came to: all trials, and which of them are best."""

    trials: tuple[Entry, ...]
    best: tuple[int, ...]


class Search:
    """One search, from its journal on."""

    def __init__(
        self,
        asking: Asking,
        journal: Journal,
        laboratory: Laboratory,
        on_trial: OnTrial = lambda _entry: None,
        on_generation: OnGeneration = lambda: None,
    ) -> None:
        self._asking = asking
        self._journal = journal
        self._laboratory = laboratory
        self._on_trial = on_trial
        self.on_generation = on_generation
        self._trials: list[Entry] = []
        self._by_text: dict[str, Entry] = {}
        self._by_key: dict[str, int] = {}

    @property
    def found(self) -> Found:
        """What there is of it so far."""
        losses = [losses_of(self._asking, each) for each in self._trials]
        return Found(tuple(self._trials), tuple(best_of(losses)))

    def run(self) -> Found:
        """Examine the parents, then one generation after another; raises RunError if all fail."""
        self.parents("parents")
        way = self._asking.way
        sampler = way.begun(self._asking.space, len(self._asking.objectives))
        generation = 0
        while len(self._trials) < way.trials and (points := sampler.ask()):
            batch = points[: way.trials - len(self._trials)]
            entries = self._generation(batch, generation)
            if len(batch) == len(points):
                sampler.tell([losses_of(self._asking, each) for each in entries])
            generation += 1
            self.on_generation()
            if generation == _HOPELESS:
                self._check_hope()
        self._check_hope()
        return self.found

    def _check_hope(self) -> None:
        if any(losses_of(self._asking, each) for each in self._trials):
            return
        names = " or ".join(each.name for each in self._asking.objectives)
        fact = f"none of {len(self._trials)} candidates has a score {names}"
        why = self._trials[0].problem or f"has {', '.join(self._trials[0].scores or {})}"
        raise RunError(f"{self._asking.file}: {fact}; the first: {why}")

    # -- a generation ----------------------------------------------------------------------------

    def _generation(self, points: Sequence[Point], generation: int) -> list[Entry]:
        """The trials of a generation: known ones, repeated ones, and those to be examined."""
        first = len(self._trials)
        entries: dict[int, Entry] = {}
        asked: list[Entry] = []
        others: list[Entry] = []
        for number, point in enumerate(points, first):
            entry = self._filled(number, generation, point)
            known = self._journal.known.trials.get(number)
            if known is not None:
                entries[number] = self._same(known, entry)
                self._keep(entries[number])
            elif entry.problem is not None:
                entries[number] = self._write(entry)
            elif entry.digest in self._by_text:
                entries[number] = self._write(_repeated(entry, self._by_text[entry.digest]))
            elif any(each.digest == entry.digest for each in asked):
                others.append(entry)
            else:
                asked.append(entry)
        entries |= self._examined(asked)
        for entry in others:
            entries[entry.number] = self._write(_repeated(entry, self._by_text[entry.digest]))
        self._trials += [entries[number] for number in sorted(entries)]
        return self._trials[first:]

    def _filled(self, number: int, generation: int, point: Point) -> Entry:
        """A trial of which nothing is known but its recipe, or why there is none."""
        entry = Entry(number, generation, point, {}, "", None, None)
        try:
            filled = self._asking.space.filled(point)
        except MergeGraphError as error:
            return replace(entry, problem=_line(error))
        digest = sha256(filled.text.encode()).hexdigest()[:32]
        return replace(entry, genes=filled.values, digest=digest)

    def _same(self, known: Entry, entry: Entry) -> Entry:
        """A trial of the journal; raises RunError if now another would be asked."""
        if known.point == entry.point and known.digest == entry.digest:
            return known
        fact = f"trial {known.number} of the journal would be another one now"
        raise RunError(f"{self._journal.folder}: {fact}; begin anew with --restart")

    def _examined(self, asked: Sequence[Entry]) -> dict[int, Entry]:
        """What comes of trials that are new."""
        entries: dict[int, Entry] = {}

        def note(i: int, outcome: Outcome) -> None:
            entry = _with_outcome(asked[i], outcome)
            repeats = self._by_key.get(outcome.key) if outcome.is_repeated else None
            entries[entry.number] = self._write(replace(entry, repeats=repeats))

        wanted = [Asked(f"trial {each.number}", self._text(each.point)) for each in asked]
        self._laboratory.scores(wanted, self._asking.chooses, note)
        return entries

    def _text(self, point: Point) -> str:
        return self._asking.space.filled(point).text

    def _write(self, entry: Entry) -> Entry:
        self._journal.trial(entry)
        self._keep(entry)
        return entry

    def _keep(self, entry: Entry) -> None:
        if entry.digest:
            self._by_text.setdefault(entry.digest, entry)
        if entry.key and entry.repeats is None:
            self._by_key.setdefault(entry.key, entry.number)
        self._on_trial(entry)

    # -- models that are there, and winners ------------------------------------------------------

    def parents(self, what: str) -> None:
        """Examine the models that the recipe names, with what chooses or with what reports."""
        reports = what == "reported_parents"
        examination = self._asking.reports if reports else self._asking.chooses
        known = getattr(self._journal.known, what)
        for reference in self._asking.parents:
            if reference not in known:
                outcome = self._laboratory.score(reference, examination)
                self._check_names(outcome, examination)
                self._journal.outcome(what, reference, _told(outcome))

    def _check_names(self, outcome: Outcome, examination: Examination) -> None:
        """Raise RunError if the scores that are looked for are not among those there are."""
        if examination is self._asking.chooses and outcome.scores is not None:
            for each in self._asking.objectives:
                each.of(outcome.scores)

    def report(self, best: Sequence[int]) -> None:
        """Examine what was found, and the parents, with the data that had no say."""
        known = self._journal.known.reported
        wanted = [self._trials[number] for number in best if str(number) not in known]

        def note(i: int, outcome: Outcome) -> None:
            self._journal.outcome("reported", str(wanted[i].number), _told(outcome))

        asked = [Asked(f"trial {each.number}", self._text(each.point)) for each in wanted]
        self._laboratory.scores(asked, self._asking.reports, note)
        self.parents("reported_parents")


def losses_of(asking: Asking, entry: Entry) -> Losses | None:
    """The scores that count of a trial, less being better; None if one is not there."""
    scores = entry.scores
    if scores is None or any(each.name not in scores for each in asking.objectives):
        return None
    return tuple(-each.rank(scores) for each in asking.objectives)


def best_of(losses: Sequence[Losses | None]) -> list[int]:
    """The trials that are best: of one objective the first with the best score."""
    there = [i for i, each in enumerate(losses) if each is not None]
    if there and len(losses[there[0]] or ()) == 1:
        return [min(there, key=lambda i: (losses[i] or (), i))]
    return front_of(losses)


def _with_outcome(entry: Entry, outcome: Outcome) -> Entry:
    scores = None if outcome.scores is None else dict(outcome.scores)
    return replace(
        entry,
        scores=scores,
        problem=outcome.problem,
        key=outcome.key,
        seconds=round(outcome.seconds, 3),
    )


def _repeated(entry: Entry, first: Entry) -> Entry:
    repeats = first.number if first.repeats is None else first.repeats
    return replace(
        entry, scores=first.scores, problem=first.problem, key=first.key, repeats=repeats
    )


def _told(outcome: Outcome) -> Mapping[str, Any]:
    scores = None if outcome.scores is None else dict(outcome.scores)
    return {"scores": scores, "problem": outcome.problem}


def _line(error: MergeGraphError) -> str:
    return "; ".join(str(error).splitlines())
