"""A search: generations asked, made and examined, each trial written down as it is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from mergegraph.errors import MergeGraphError, RunError, in_a_line
from mergegraph.evolve.genes import Point
from mergegraph.evolve.journal import Journal, Trial
from mergegraph.evolve.request import SearchRequest
from mergegraph.evolve.sampling import Losses, front_of
from mergegraph.search.compiling import Asked
from mergegraph.search.examining import Examination
from mergegraph.search.laboratory import Laboratory, Outcome

_HOPELESS = 3  # generations without a single score

OnTrial = Callable[[Trial], None]
OnGeneration = Callable[["Found"], None]


@dataclass(frozen=True)
class Found:
    """What a search came to: all trials, and which of them are best."""

    trials: tuple[Trial, ...]
    best: tuple[int, ...]


class Search:
    """One search, from its journal on.

    `on_known` is told of trials of the journal, `on_trial` of new ones, and `on_generation` of what
    there is after every generation with a new one.
    """

    def __init__(
        self,
        request: SearchRequest,
        journal: Journal,
        laboratory: Laboratory,
        *,
        on_known: OnTrial,
        on_trial: OnTrial,
        on_generation: OnGeneration,
    ) -> None:
        self._request = request
        self._journal = journal
        self._laboratory = laboratory
        self._on_known = on_known
        self._on_trial = on_trial
        self._on_generation = on_generation
        self._trials: list[Trial] = []
        self._by_text: dict[str, Trial] = {}
        self._by_key: dict[str, int] = {}

    @property
    def found(self) -> Found:
        """What there is of it so far."""
        losses = [losses_of(self._request, each) for each in self._trials]
        return Found(tuple(self._trials), tuple(best_of(losses)))

    def run(self) -> Found:
        """Examine the parents, then one generation after another; raises RunError if all fail."""
        self.parents("parents")
        way = self._request.way
        sampler = way.begun(self._request.space, len(self._request.objectives))
        generation = 0
        while len(self._trials) < way.trials and (points := sampler.ask()):
            known = len(self._journal.known.trials)
            batch = points[: way.trials - len(self._trials)]
            trials = self._generation(batch, generation)
            if len(batch) == len(points):
                sampler.tell([losses_of(self._request, each) for each in trials])
            generation += 1
            if len(self._journal.known.trials) > known:
                self._on_generation(self.found)
            if generation == _HOPELESS:
                self._check_hope()
        self._check_hope()
        return self.found

    def _check_hope(self) -> None:
        if any(losses_of(self._request, each) for each in self._trials):
            return
        names = " or ".join(each.name for each in self._request.objectives)
        fact = f"none of {len(self._trials)} candidates has a score {names}"
        why = self._trials[0].problem or f"has {', '.join(self._trials[0].scores or {})}"
        raise RunError(f"{self._request.file}: {fact}; the first: {why}")

    # -- a generation ----------------------------------------------------------------------------

    def _generation(self, points: Sequence[Point], generation: int) -> list[Trial]:
        """The trials of a generation: known ones, repeated ones, and those to be examined."""
        first = len(self._trials)
        trials: dict[int, Trial] = {}
        asked: list[Trial] = []
        others: list[Trial] = []
        for number, point in enumerate(points, first):
            trial = self._filled(number, generation, point)
            known = self._journal.known.trials.get(number)
            if known is not None:
                trials[number] = self._same(known, trial)
                self._keep(known)
                self._on_known(known)
            elif trial.problem is not None:
                trials[number] = self._write(trial)
            elif trial.digest in self._by_text:
                trials[number] = self._write(_repeated(trial, self._by_text[trial.digest]))
            elif any(each.digest == trial.digest for each in asked):
                others.append(trial)
            else:
                asked.append(trial)
        trials |= self._examined(asked)
        for trial in others:
            trials[trial.number] = self._write(_repeated(trial, self._by_text[trial.digest]))
        self._trials += [trials[number] for number in sorted(trials)]
        return self._trials[first:]

    def _filled(self, number: int, generation: int, point: Point) -> Trial:
        """A trial of which nothing is known but its recipe, or why there is none."""
        trial = Trial(number, generation, point, {}, "", None, None)
        try:
            filled = self._request.space.filled(point)
        except MergeGraphError as error:
            return replace(trial, problem=in_a_line(error))
        digest = sha256(filled.text.encode()).hexdigest()[:32]
        return replace(trial, genes=filled.values, digest=digest)

    def _same(self, known: Trial, trial: Trial) -> Trial:
        """A trial of the journal; raises RunError if now another would be asked."""
        if known.point == trial.point and known.digest == trial.digest:
            return known
        fact = f"trial {known.number} of the journal would be another one now"
        raise RunError(f"{self._journal.folder}: {fact}; begin anew with --restart")

    def _examined(self, asked: Sequence[Trial]) -> dict[int, Trial]:
        """What comes of trials that are new."""
        trials: dict[int, Trial] = {}

        def note(i: int, outcome: Outcome) -> None:
            trial = _with_outcome(asked[i], outcome)
            repeats = self._by_key.get(outcome.key) if outcome.is_repeated else None
            trials[trial.number] = self._write(replace(trial, repeats=repeats))

        wanted = [Asked(f"trial {each.number}", self._text(each.point)) for each in asked]
        self._laboratory.scores(wanted, self._request.chooses, note)
        return trials

    def _text(self, point: Point) -> str:
        return self._request.space.filled(point).text

    def _write(self, trial: Trial) -> Trial:
        self._journal.trial(trial)
        self._keep(trial)
        self._on_trial(trial)
        return trial

    def _keep(self, trial: Trial) -> None:
        if trial.digest:
            self._by_text.setdefault(trial.digest, trial)
        if trial.key and trial.repeats is None:
            self._by_key.setdefault(trial.key, trial.number)

    # -- models that are there, and winners ------------------------------------------------------

    def parents(self, what: str) -> None:
        """Examine the models that the recipe names, with what chooses or with what reports."""
        reports = what == "reported_parents"
        examination = self._request.reports if reports else self._request.chooses
        known = getattr(self._journal.known, what)
        for reference in self._request.parents:
            if not _has_scores(known, reference):
                outcome = self._laboratory.score(reference, examination)
                self._check_names(outcome, examination)
                self._journal.outcome(what, reference, _told(outcome))

    def _check_names(self, outcome: Outcome, examination: Examination) -> None:
        """Raise RunError if the scores that are looked for are not among those there are."""
        if examination is self._request.chooses and outcome.scores is not None:
            for each in self._request.objectives:
                each.of(outcome.scores)

    def report(self, best: Sequence[int]) -> None:
        """Examine what was found, and the parents, with the data that had no say."""
        known = self._journal.known.reported
        wanted = [self._trials[number] for number in best if not _has_scores(known, str(number))]

        def note(i: int, outcome: Outcome) -> None:
            self._journal.outcome("reported", str(wanted[i].number), _told(outcome))

        asked = [Asked(f"trial {each.number}", self._text(each.point)) for each in wanted]
        self._laboratory.scores(asked, self._request.reports, note)
        self.parents("reported_parents")


def _has_scores(known: Mapping[str, Mapping[str, Any]], name: str) -> bool:
    """Whether a model need not be examined: one that has failed may do better next time."""
    return name in known and known[name]["scores"] is not None


def losses_of(request: SearchRequest, trial: Trial) -> Losses | None:
    """The scores that count of a trial, less being better; None if one is not there."""
    scores = trial.scores
    if scores is None or any(each.name not in scores for each in request.objectives):
        return None
    return tuple(-each.rank(scores) for each in request.objectives)


def best_of(losses: Sequence[Losses | None]) -> list[int]:
    """The trials that are best: of one objective the first with the best score."""
    there = [i for i, each in enumerate(losses) if each is not None]
    if there and len(losses[there[0]] or ()) == 1:
        return [min(there, key=lambda i: (losses[i] or (), i))]
    return front_of(losses)


def _with_outcome(trial: Trial, outcome: Outcome) -> Trial:
    scores = None if outcome.scores is None else dict(outcome.scores)
    return replace(
        trial,
        scores=scores,
        problem=outcome.problem,
        key=outcome.key,
        seconds=round(outcome.seconds, 3),
    )


def _repeated(trial: Trial, first: Trial) -> Trial:
    repeats = first.number if first.repeats is None else first.repeats
    return replace(
        trial, scores=first.scores, problem=first.problem, key=first.key, repeats=repeats
    )


def _told(outcome: Outcome) -> Mapping[str, Any]:
    scores = None if outcome.scores is None else dict(outcome.scores)
    return {"scores": scores, "problem": outcome.problem}
