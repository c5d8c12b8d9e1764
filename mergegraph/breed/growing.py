"""A population that grows: generations of merges with their scores, written as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mergegraph.breed.kin import Kin
from mergegraph.breed.members import Birth, Member, Pair
from mergegraph.breed.recipes import Merging, recipe_text
from mergegraph.breed.record import (
    gain_of,
    matrix_of,
    told_member,
)
from mergegraph.breed.scoring import Scored, Scoring
from mergegraph.breed.telling import generation_line, member_line
from mergegraph.breed.topk import Generation, Rules, generations
from mergegraph.breed.wishes import EUCLIDEAN, TOP, Wishes
from mergegraph.errors import RunError
from mergegraph.search import record
from mergegraph.search.compiling import Asked
from mergegraph.search.examining import Examination, Objective
from mergegraph.search.folder import BEST, GENERATION, RECIPES, write_text
from mergegraph.search.record import Bred, Kinships, write_record

Say = Callable[[str], None]


@dataclass
class Population:
    """Members as they are born: what the algorithm asks for is made, examined and written down."""

    folder: Path
    wishes: Wishes
    merging: Merging
    scoring: Scoring
    kin: Kin | None
    chooses: Examination
    reports: Examination
    objective: Objective
    say: Say
    births: dict[str, Birth] = field(default_factory=dict)
    scored: dict[str, Scored] = field(default_factory=dict)
    past: list[Generation] = field(default_factory=list)
    reported: dict[str, Mapping[str, float]] = field(default_factory=dict)

    def grow(self) -> Member:
        """Breed until something stops it; gives the best member."""
        foundation = [Birth(name, 0) for name in self.wishes.models]
        rules = rules_of(self.wishes)
        for each in generations(foundation, rules, self.examine, self.kin):
            self.past.append(each)
            self.settle(each)
            for line in generation_line(each, self.objective):
                self.say(line)
        return self.best

    @property
    def best(self) -> Member:
        """The best member there is; raises RunError if there is none."""
        if not self.past or not self.past[-1].top:
            raise RunError("no model has a score that is a number")
        return self.past[-1].top[0]

    def examine(self, births: Sequence[Birth]) -> list[float | None]:
        """The rank of each of those that are to be born; None for those that cannot be."""
        self.births |= {each.name: each for each in births}
        if births and not births[0].parents:
            for each in births:
                self.scored[each.name] = self.scoring.of_model(each.name, self.chooses, self.tell)
        else:
            if self.kin:  # how near parents are to each other is told of every child
                self.kin([(each.parents[0], each.parents[1]) for each in births])
            asked = [Asked(each.name, self.recipe(each.name)) for each in births]
            found = self.scoring.of(asked, self.chooses, self.tell)
            for each, scored in zip(births, found, strict=True):
                self.scored[each.name] = self.new(each, scored)
        return [self.rank(each.name) for each in births]

    def new(self, birth: Birth, scored: Scored) -> Scored:
        """What was found of a child; one that is the same model as a member is no member."""
        equals = [n for n, each in self.scored.items() if scored.key and each.key == scored.key]
        if scored.scores is None or not equals:
            return scored
        problem = f"is the same model as {equals[0]}"
        self.say(f"{birth.name}: {problem}, and left out")
        return Scored(None, problem, scored.key, scored.seconds)

    def rank(self, name: str) -> float | None:
        """The score of a member, so that more is better."""
        scores = self.scored[name].scores
        return None if scores is None else self.objective.rank(scores)

    def recipe(self, name: str) -> str:
        """The recipe of a member."""
        return recipe_text(name, self.births, self.merging)

    def tell(self, name: str, scored: Scored) -> None:
        """Tell what came of a member."""
        known = {**self.scored, name: scored}
        gain = gain_of(self.births[name], known, self.objective)
        self.say(member_line(self.births[name], scored, self.objective, gain))

    def settle(self, generation: Generation) -> None:
        """Write what a generation came to."""
        for each in generation.new:
            if each.birth.parents:
                write_text(self.folder / self.place_of(each.name), self.recipe(each.name))
        if generation.number and generation.new:
            best = max(generation.new, key=lambda each: each.score)  # of equals the first
            head = f"# generation {generation.number}: its best, {best.name}\n"
            place = self.folder / GENERATION.format(generation.number)
            write_text(place, head + self.recipe(best.name))
        if generation.top:
            head = f"# the best so far: {generation.top[0].name}\n"
            write_text(self.folder / BEST, head + self.recipe(generation.top[0].name))
        self.write()

    def report(self) -> None:
        """Examine the best and the models it all began with by what reports."""
        names = dict.fromkeys((*self.wishes.models, self.best.name))
        for name in names:
            if self.births[name].parents:
                asked = [Asked(name, self.recipe(name))]
                found = self.scoring.of(asked, self.reports, again=True)[0]
            else:
                found = self.scoring.of_model(name, self.reports)
            if found.scores is None:
                raise RunError(f"{name}: {found.problem}")
            self.reported[name] = found.scores
        self.write()

    def files(self) -> Iterator[str]:
        """The recipes of members, in the folder of the search."""
        for generation in self.past:
            yield from (self.place_of(each.name) for each in generation.new)
            yield GENERATION.format(generation.number)

    @staticmethod
    def place_of(name: str) -> str:
        """Where the recipe of a child is, in the folder of the search."""
        return f"{RECIPES}/{name}.yaml"

    def write(self) -> None:
        """Write the record."""
        top = self.past[-1].top
        names = [each.name for g in self.past for each in g.new]
        pairs: dict[Pair, float | None] = {}
        if self.kin:
            pairs = {(a, b): self.kin.known((a, b)) for a in names for b in names if a != b}
        wishes = self.wishes
        told = Bred(
            strategy=wishes.strategy,
            base=wishes.base,
            method=wishes.method,
            parameters=wishes.parameters,
            early_stop=wishes.early_stop,
            explore=wishes.explores,
            k=wishes.k,
            seed=wishes.seed,
            chosen_by=self.chooses.text,
            reported_by=self.reports.text,
            objectives=(self.objective,),
            members=tuple(map(self.told, self.births.values())),
            generations=tuple(map(told_generation, self.past)),
            kinship=Kinships(wishes.metric, tuple(names), matrix_of(names, pairs))
            if self.kin
            else None,
            best=top[0].name if top else None,
            reported=self.reported,
        )
        write_record(self.folder, told)

    def told(self, birth: Birth) -> record.Member:
        """What there is to tell of a member."""
        known = self.kin.known(birth.parents) if self.kin and len(birth.parents) == 2 else None  # noqa: PLR2004
        scored = self.scored[birth.name]
        has_recipe = bool(birth.parents) and scored.scores is not None
        return told_member(
            birth,
            scored,
            gain=gain_of(birth, self.scored, self.objective),
            kinship=known,
            recipe=self.place_of(birth.name) if has_recipe else None,
        )


def told_generation(generation: Generation) -> record.Generation:
    """What there is to tell of a generation."""
    return record.Generation(
        number=generation.number,
        new=tuple(each.name for each in generation.new),
        top=tuple(each.name for each in generation.top),
        kinship=generation.kinship,
        stopped=generation.stopped,
    )


def rules_of(wishes: Wishes) -> Rules:
    """The rules that wishes come to; of distances the smaller one is nearer."""
    is_distance, bound = wishes.metric == EUCLIDEAN, wishes.early_stop

    def nearness(value: float) -> float:
        return -value if is_distance else value

    def is_kin(mean: float) -> bool:
        return bound is not None and nearness(mean) > nearness(bound)

    return Rules(
        k=wishes.k,
        explores=wishes.explores,
        from_top=wishes.candidates == TOP,
        is_kin=None if bound is None else is_kin,
        nearness=nearness,
        max_generations=wishes.max_generations,
    )
