"""One vocabulary for the models of a stage: their tensors permuted, tokenizer files and config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from mergegraph import config as configs
from mergegraph.errors import MergeGraphError, Problem, nearest
from mergegraph.models.model import Model
from mergegraph.recipe import Stage, TokenizerRules, TokenRule
from mergegraph.vocabulary.choosing import ZERO, Rule
from mergegraph.vocabulary.files import SideReader
from mergegraph.vocabulary.joining import Joined, united, with_added
from mergegraph.vocabulary.mapping import rows_of
from mergegraph.vocabulary.reading import (
    Vocabulary,
    entry_of,
    files_digest,
    read_vocabulary,
)
from mergegraph.vocabulary.rows import RowReader, embedding_of
from mergegraph.vocabulary.templates import with_template

_MOST_ROWS = 2**21  # twice the largest vocabulary there is


@dataclass(frozen=True)
class United:
    """The models of a stage over one vocabulary; the donor has the files of the result."""

    models: Mapping[str, Model]
    notes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


def unite(stage: Stage, models: Mapping[str, Model]) -> United:
    """Give the models of a stage the vocabulary and the chat template that it asks for."""
    uniter = _Uniter(stage, models)
    try:
        made = uniter.united()
    except MergeGraphError as error:
        place = stage.tokenizer.place if stage.tokenizer else stage.place
        uniter.problems.append(Problem(place, str(error)))
    if uniter.problems:
        return United(models, (), tuple(uniter.problems))
    return United(made, tuple(uniter.notes), ())


@dataclass
class _Uniter:
    """Finds the vocabulary of a stage's result, and what its models are over it."""

    stage: Stage
    models: Mapping[str, Model]
    notes: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def united(self) -> Mapping[str, Model]:
        """The models; raises MergeGraphError if they have none in common."""
        models, rules = self.models, self.stage.tokenizer
        if rules is not None:
            self.check_models(rules)
            if self.problems:
                return models
            if not self.is_idle(rules):
                models = self.over_one(rules)
        if self.stage.chat_template is not None:
            names = list(dict.fromkeys(name for name, _ in self.stage.models()))
            files, notes = with_template(
                self.stage.chat_template, [models[name] for name in names], models[self.stage.donor]
            )
            self.notes += [f"{self.stage.place}: {note}" for note in notes]
            models = _with(models, self.stage.donor, replace(models[self.stage.donor], sides=files))
        return models

    def check_models(self, rules: TokenizerRules) -> None:
        """See that every model that is named takes part."""
        known = list(dict.fromkeys(name for name, _ in self.stage.models()))
        if rules.source not in ("base", "union", *known):
            remedy = nearest(rules.source, ["base", "union", *known])
            fact = f"tokenizer source {rules.source}: not a model of this merge{remedy}"
            self.problems.append(Problem(rules.place, fact))
        for each in rules.tokens:
            if each.model is not None and each.model not in known:
                fact = f"token {each.token!r}: {each.model} is not a model of this merge"
                self.problems.append(Problem(each.place, f"{fact}{nearest(each.model, known)}"))

    def is_idle(self, rules: TokenizerRules) -> bool:
        """Whether the models have one vocabulary already, and nothing more is asked for."""
        if rules.tokens or rules.multiple is not None:
            return False
        models = list(self.models.values())
        rows = {self.rows(each) for each in models if embedding_of(each)}
        return len(rows) <= 1 and len(set(map(files_digest, models))) == 1

    def rows(self, model: Model) -> int:
        """The rows of a model's embedding; raises MergeGraphError if it has none."""
        name = embedding_of(model)
        if name is None:
            fact = "no embedding is among its tensors"
            raise MergeGraphError(f"{model.reference}: {fact}; leave the tokenizer out")
        return rows_of(model.tensors[name].spec)

    def over_one(self, rules: TokenizerRules) -> Mapping[str, Model]:
        """The models over the vocabulary that the rules ask for."""
        donor = self.first_name(self.stage.donor)
        leader = donor if rules.source in ("base", "union") else self.first_name(rules.source)
        order = list(dict.fromkeys([leader, *map(self.first_name, self.models)]))
        read = {name: read_vocabulary(self.models[name]) for name in order}
        joined = self.joined(rules, [read[name] for name in order])
        chosen = self.chosen(rules, read)
        if self.problems:
            return self.models
        joined = with_added_to(joined, rules, list(read.values()))
        count = self.count(rules, joined, self.models[leader])
        by_id = {number: token for token, number in joined.ids.items()}
        reader = RowReader(
            tokens=[by_id.get(number) for number in range(count)],
            ids={name: each.ids for name, each in read.items()},
            models={name: self.models[name] for name in order},
            rules=chosen,
            base=None if self.stage.base is None else self.first_name(self.stage.base),
        )
        made = {name: self.sized(name, reader.model(name), count) for name in order}
        over_one = {name: made[self.first_name(name)] for name in self.models}
        self.tell(joined, read, count, self.models[leader])
        sides = SideReader(joined, self.models[donor], read[donor], self.models[leader])
        found = over_one[donor]
        found = replace(found, sides=sides.files(), config=sides.config(found.config))
        self.notes += [f"{rules.place}: {note}" for note in sides.notes]
        return _with(over_one, donor, found)

    def first_name(self, name: str) -> str:
        """The first of the names that a model has in the recipe."""
        return next(each for each in self.models if self.models[each] is self.models[name])

    def sized(self, name: str, model: Model, count: int) -> Model:
        """A model over the new vocabulary, whose config says how many rows it has now."""
        stated, before = configs.vocabulary_sizes(model.config), self.rows(self.models[name])
        for size in stated if len(stated) == 1 else {before}:
            if size != count and size in stated:
                model = replace(model, config=configs.with_vocabulary(model.config, size, count))
        return model

    def joined(self, rules: TokenizerRules, vocabularies: Sequence[Vocabulary]) -> Joined:
        """The vocabulary of the result, but for tokens that only rules name."""
        if rules.source == "union":
            return united(vocabularies)
        return with_added(vocabularies[0], [])

    def chosen(self, rules: TokenizerRules, read: Mapping[str, Vocabulary]) -> dict[str, Rule]:
        """What the rules for tokens come to; rows that are not there are problems."""
        found = {}
        for each in rules.tokens:
            try:
                found[each.token] = self.rule(each, read)
            except MergeGraphError as error:
                self.problems.append(Problem(each.place, str(error)))
        return found

    def rule(self, each: TokenRule, read: Mapping[str, Vocabulary]) -> Rule:
        """What a rule comes to; raises MergeGraphError if there is no such row."""
        if each.kind == "zero":
            return Rule(ZERO, each.force)
        if each.model is None:
            if not any(each.token in vocabulary.ids for vocabulary in read.values()):
                fact = f"token {each.token!r} is in no tokenizer of this merge"
                raise MergeGraphError(f"{fact}; give it a source, {{kind: zero}} or a model_token")
            return Rule(None, each.force)
        name = self.first_name(each.model)
        ids, rows = read[name].ids, self.rows(self.models[name])
        if each.row is not None:
            if each.row >= rows:
                fact = f"token {each.token!r}: {each.model} has {rows} rows, no token_id {each.row}"
                raise MergeGraphError(f"{fact}; the last one is {rows - 1}")
            return Rule(((name, each.row),), each.force)
        wanted = each.other if each.other is not None else each.token
        if wanted not in ids:
            close = nearest(wanted, ids, only_close=True)
            fact = f"token {each.token!r}: {wanted!r} is not in the tokenizer of {each.model}"
            raise MergeGraphError(
                f"{fact}{close or '; name a model that has it, or another token'}"
            )
        if ids[wanted] >= rows:
            fact = f"token {each.token!r}: {each.model} has no row for {wanted!r}, its id is"
            raise MergeGraphError(
                f"{fact} {ids[wanted]} of {rows} rows; take it from another model"
            )
        return Rule(((name, ids[wanted]),), each.force)

    def count(self, rules: TokenizerRules, joined: Joined, leader: Model) -> int:
        """The rows of the result: never fewer than the leader has, a whole number of multiples."""
        rows = max(self.rows(leader), max(joined.ids.values(), default=-1) + 1)
        multiple = rules.multiple or 1
        padded = -(-rows // multiple) * multiple
        if padded > _MOST_ROWS:
            fact = f"the vocabulary of the result would have {padded} rows, more than any has"
            raise MergeGraphError(f"{fact}; look at the ids of tokenizers and pad_to_multiple_of")
        return padded

    def tell(
        self, joined: Joined, read: Mapping[str, Vocabulary], count: int, leader: Model
    ) -> None:
        """Note what users might not expect."""
        place = self.stage.tokenizer.place if self.stage.tokenizer else self.stage.place
        told = f"{len(joined.ids)} tokens in {count} rows"
        if joined.is_new:
            more = f"{len(joined.grown)} words" if joined.grown else ""
            fresh = [token for token in joined.added if token not in joined.leader.ids]
            added = f"{len(fresh)} added tokens" if fresh else ""
            what = " and ".join(each for each in (more, added) if each)
            told += f": those of {leader.reference}" + (
                f", then {what} of the others" if what else ""
            )
        self.notes.append(f"{place}: the vocabulary has {told}")
        padding = count - max(joined.ids.values(), default=-1) - 1
        if padding and count == self.rows(leader):
            fact = f"{padding} rows without a token are kept, as {leader.reference} has them"
            self.notes.append(f"{place}: {fact}; mergekit cuts them off")
        for name, each in read.items():
            rows = self.rows(self.models[name])
            lost = sorted(token for token, number in each.ids.items() if number >= rows)
            if lost:
                fact = f"{each.reference}: {len(lost)} tokens such as {lost[0]!r} have no row"
                self.notes.append(f"{place}: {fact}; they are taken for tokens it does not have")


def with_added_to(
    joined: Joined, rules: TokenizerRules, vocabularies: Sequence[Vocabulary]
) -> Joined:
    """The vocabulary with those tokens, too, that only rules name."""
    lacking = [each.token for each in rules.tokens if each.token not in joined.ids]
    if not lacking:
        return joined
    entries = []
    for token in dict.fromkeys(lacking):
        known = next((each.added[token] for each in vocabularies if token in each.added), None)
        entries.append({**entry_of(token, is_special=False), **(known or {})})
    current = Vocabulary(joined.leader.reference, joined.ids, joined.leader.added, joined.data)
    more = with_added(current, entries)
    return replace(joined, ids=more.ids, data=more.data, added=(*joined.added, *more.added))


def _with(models: Mapping[str, Model], name: str, changed: Model) -> dict[str, Model]:
    """The models with one of them changed, under all of its names."""
    before = models[name]
    return {each: changed if model is before else model for each, model in models.items()}
