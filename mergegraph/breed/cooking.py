"""A soup in the making: averages tried one after another, every try written down."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mergegraph.breed.defaults import AVERAGE
from mergegraph.breed.members import Birth
from mergegraph.breed.recipes import averaged_text
from mergegraph.breed.record import gain_of, told_member
from mergegraph.breed.scoring import Scored, Scoring
from mergegraph.breed.soup import Soup, Try, greedy_soup
from mergegraph.breed.telling import member_line
from mergegraph.breed.wishes import Wishes
from mergegraph.errors import RunError
from mergegraph.search import record
from mergegraph.search.compiling import Asked
from mergegraph.search.examining import Examination, Objective
from mergegraph.search.folder import BEST, write_text
from mergegraph.search.record import Bred, Generation, Member, write_record


@dataclass
class Kitchen:
    """Models and the averages of some of them, with their scores."""

    folder: Path
    wishes: Wishes
    scoring: Scoring
    chooses: Examination
    reports: Examination
    objective: Objective
    say: Callable[[str], None]
    births: dict[str, Birth] = field(default_factory=dict)
    scored: dict[str, Scored] = field(default_factory=dict)
    tries: list[Try] = field(default_factory=list)
    reported: dict[str, Mapping[str, float]] = field(default_factory=dict)

    def cook(self) -> Soup:
        """Examine every model, then try them in the order of their scores."""
        for name in self.wishes.models:
            self.births[name] = Birth(name, 0)
            self.scored[name] = self.scoring.of_model(name, self.chooses)
            self.say(member_line(self.births[name], self.scored[name], self.objective, None))
        ranks = [self.rank(name) for name in self.wishes.models]
        soup = greedy_soup(ranks, self.examine, accept=self.wishes.accept, on_try=self.taste)
        if not soup.order:
            raise RunError("no model has a score that is a number")
        self.settle(soup)
        return soup

    def examine(self, chosen: Sequence[int]) -> float | None:
        """The rank of the average of some models."""
        name = f"soup-{len(self.births) - len(self.wishes.models) + 1}"
        models = tuple(self.wishes.models[each] for each in chosen)
        self.births[name] = Birth(name, len(self.tries) + 1, models)
        asked = [Asked(name, self.recipe(models))]
        self.scored[name] = self.scoring.of(asked, self.chooses)[0]
        return self.rank(name)

    def rank(self, name: str) -> float | None:
        """The score of a model or of an average, so that more is better."""
        scores = self.scored[name].scores
        return None if scores is None else self.objective.rank(scores)

    def recipe(self, models: Sequence[str]) -> str:
        """The recipe of an average."""
        return averaged_text(models, self.wishes.dtype)

    def taste(self, told: Try) -> None:
        """Tell of a try."""
        self.tries.append(told)
        birth = [*self.births.values()][-1]
        gain = gain_of(birth, self.scored, self.objective)
        line = member_line(birth, self.scored[birth.name], self.objective, gain)
        answer = "taken" if told.is_accepted else "not taken"
        self.say(f"{line}: {self.wishes.models[told.candidate]} is {answer}")

    def settle(self, soup: Soup) -> None:
        """Write what came of it."""
        models = [self.wishes.models[each] for each in soup.ingredients]
        write_text(self.folder / BEST, self.recipe(models))
        best = self.name_of(soup)
        self.report(best, models)
        tried = tuple(each for each in self.births if self.births[each].parents)
        told = Bred(
            strategy=self.wishes.strategy,
            base=self.wishes.base,
            method=AVERAGE,
            accept=self.wishes.accept,
            chosen_by=self.chooses.text,
            reported_by=self.reports.text,
            objectives=(self.objective,),
            members=tuple(map(self.told, self.births.values())),
            generations=(
                Generation(0, self.wishes.models, (models[0],)),
                Generation(1, tried, (best,)),
            ),
            order=tuple(self.wishes.models[each] for each in soup.order),
            ingredients=tuple(models),
            tries=tuple(map(self.told_try, soup.tries)),
            best=best,
            reported=self.reported,
        )
        write_record(self.folder, told)

    def name_of(self, soup: Soup) -> str:
        """The name of what came of it: of the last average that was taken, or of one model."""
        models = tuple(self.wishes.models[each] for each in soup.ingredients)
        names = [each.name for each in self.births.values() if each.parents == models]
        return names[0] if names else models[0]

    def report(self, best: str, models: Sequence[str]) -> None:
        """Examine the soup and the models by what reports."""
        for name in self.wishes.models:
            self.reported[name] = _scores(name, self.scoring.of_model(name, self.reports))
        if best not in self.reported:
            asked = [Asked(best, self.recipe(models))]
            found = self.scoring.of(asked, self.reports, again=True)[0]
            self.reported[best] = _scores(best, found)

    def told(self, birth: Birth) -> Member:
        """What there is to tell of a model or an average."""
        scored = self.scored[birth.name]
        gain = gain_of(birth, self.scored, self.objective)
        return told_member(birth, scored, gain=gain, kinship=None, recipe=None)

    def told_try(self, each: Try) -> record.Try:
        """What there is to tell of a try."""
        sign = -1 if self.objective.is_lower_better else 1
        return record.Try(
            candidate=self.wishes.models[each.candidate],
            ingredients=tuple(self.wishes.models[i] for i in each.with_ingredients),
            score=None if each.score is None else sign * each.score,
            accepted=each.is_accepted,
        )


def _scores(name: str, scored: Scored) -> Mapping[str, float]:
    if scored.scores is None:
        raise RunError(f"{name}: {scored.problem}")
    return scored.scores
