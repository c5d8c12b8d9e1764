"""A round of ColD Fusion carried out: what is shared next, and the record of all rounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mergegraph.breed.inputs import check_different, open_models
from mergegraph.breed.rounds import (
    Heads,
    Round,
    read_rounds,
    round_recipe,
    shared_heads,
    write_rounds,
)
from mergegraph.errors import MergeGraphError, RunError
from mergegraph.evaluators import Scores
from mergegraph.library import library_of
from mergegraph.plugins import Plugins
from mergegraph.search.examining import Examination
from mergegraph.search.folder import write_text
from mergegraph.search.laboratory import Laboratory
from mergegraph.search.marks import marks_of

Say = Callable[[str], None]


@dataclass(frozen=True)
class Sharing:
    """A round that was checked: what is shared, who contributed, and where the next model goes."""

    folder: Path
    number: int
    shared: str
    digests: Mapping[str, str]
    heads: Heads
    text: str
    is_done: bool
    known: Mapping[str, Scores] = field(default_factory=dict)
    known_by: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def result(self) -> Path:
        """Where the next shared model goes."""
        return self.folder / f"round-{self.number}"

    @property
    def recipe(self) -> Path:
        """The recipe that makes it."""
        return self.folder / f"round-{self.number}.yaml"


def prepare_round(
    shared: str | None,
    contributions: Sequence[str],
    plugins: Plugins,
    folder: Path,
    *,
    shares_heads: bool = False,
    restart: bool = False,
) -> Sharing:
    """Check a round: the next one after those of the folder, or the last one once more.

    Raises MergeGraphError if there is nothing shared to begin with, or a contribution is none.
    """
    rounds = [] if restart else read_rounds(folder)
    library = library_of(plugins)
    models = open_models(contributions, library)
    digests = marks_of(models, library)
    is_done = bool(rounds) and _told(rounds[-1]) == sorted(digests.values())
    number = len(rounds) + (not is_done)
    start = rounds[-1]["shared"] if is_done else _start(shared, rounds, folder)
    if shared is not None and shared != start:
        fact = f"{folder}: {len(rounds)} rounds are done, and what is shared is {start}"
        raise MergeGraphError(f"{fact}, not {shared}; leave --base out, or give another --out")
    begun = open_models([start], library)
    everyone = {**begun, **models}
    check_different(everyone, {**digests, **marks_of(begun, library)})
    heads = () if shares_heads else shared_heads(begun[start])
    text = round_recipe(start, models, begun[start], heads)
    last = rounds[-1] if is_done else {}
    made = Sharing(
        folder,
        number,
        start,
        digests,
        heads,
        text,
        is_done,
        known=_scores_of(last),
        known_by=last.get("scored_by"),
        notes=tuple(_again(digests, rounds[: number - 1])),
    )
    if made.result.exists() and not made.recipe.exists():
        fact = "is there, and was made by no round of this folder"
        raise MergeGraphError(f"{made.result}: {fact}; move it, or give another --out")
    return made


def carry_out_round(sharing: Sharing, make: Callable[[Path, Path], None]) -> None:
    """Write the recipe of a round, have it made, and note the round."""
    write_text(sharing.recipe, sharing.text)
    make(sharing.recipe, sharing.result)
    note_round(sharing, sharing.known, sharing.known_by)


def note_round(sharing: Sharing, scores: Mapping[str, Scores], scored_by: str | None) -> None:
    """Write a round into the record, with the scores there are."""
    rounds = read_rounds(sharing.folder)[: sharing.number - 1]
    told = Round(
        sharing.number,
        sharing.shared,
        sharing.digests,
        sharing.heads,
        str(sharing.result),
        sharing.recipe.name,
        {name: dict(each) for name, each in scores.items()},
        scored_by,
    ).told
    write_rounds(sharing.folder, [*rounds, told])


def score_round(
    sharing: Sharing, laboratory: Laboratory, examination: Examination, say: Say
) -> dict[str, Scores]:
    """The scores of what is shared next and of the contributions, each found once."""
    found = dict(sharing.known) if sharing.known_by == examination.text else {}
    for name in (*sharing.digests, str(sharing.result)):
        if name not in found:
            outcome = laboratory.score(name, examination)
            if outcome.scores is None:
                raise RunError(f"{name}: {outcome.problem}")
            found[name] = outcome.scores
        say(f"{name}: {', '.join(f'{n} {v:.4g}' for n, v in found[name].items())}")
    note_round(sharing, found, examination.text)
    return found


def _start(shared: str | None, rounds: Sequence[Mapping[str, Any]], folder: Path) -> str:
    if rounds:
        return str(rounds[-1]["result"])
    if shared is None:
        raise MergeGraphError(f"{folder}: there was no round yet; say what is shared with --base")
    return shared


def _told(round_: Mapping[str, Any]) -> list[str]:
    return sorted(each["digest"] for each in round_["contributions"])


def _scores_of(round_: Mapping[str, Any]) -> dict[str, Scores]:
    """The scores that a round has on record."""
    told = {each["model"]: each["scores"] for each in round_.get("contributions", ())}
    told[round_.get("result", "")] = round_.get("scores")
    return {name: scores for name, scores in told.items() if scores}


def _again(digests: Mapping[str, str], rounds: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What there is to be said of contributions that were there before."""
    for name, digest in digests.items():
        for each in rounds:
            if digest in _told(each):
                yield f"{name}: was a contribution to round {each['number']}, too, as it is"
