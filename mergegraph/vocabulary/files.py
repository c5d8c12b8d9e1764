"""What is written beside the weights: the files of a tokenizer, and special tokens in configs."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mergegraph.config import Config
from mergegraph.models.model import Model, SideFiles
from mergegraph.vocabulary.joining import Joined
from mergegraph.vocabulary.reading import (
    ADDED,
    CONFIG,
    FILES,
    JSON,
    MERGES,
    PIECES,
    VOCAB,
    WORDS,
    Vocabulary,
    json_of,
    text_of,
)
from mergegraph.vocabulary.templates import TEMPLATE_FILES, is_template

GENERATION = "generation_config.json"
_OWN = ("bos_token_id", "eos_token_id", "pad_token_id")  # as the tokenizer's model has them
_LISTS = ("suppress_tokens", "begin_suppress_tokens")
_BESIDE = ("token_id", "token_index", "_token_ids")


@dataclass
class SideReader:
    """The side files of a result: the donor's, but for the tokenizer, which is that of `leader`."""

    joined: Joined
    donor: Model
    before: Vocabulary
    leader: Model
    notes: list[str] = field(default_factory=list)

    @property
    def is_moved(self) -> bool:
        """Whether the tokenizer is another model's than the donor's."""
        return self.leader is not self.donor

    def files(self) -> SideFiles:
        """All of them."""
        sides = self.donor.sides
        names, texts = list(sides.names), dict(sides.texts or {})
        if self.is_moved:
            names = [name for name in names if name not in FILES and not is_template(name)]
            texts = {name: t for name, t in texts.items() if name not in (*FILES, *TEMPLATE_FILES)}
            texts.update(self.taken())
            if (found := text_of(sides, GENERATION)) is not None:
                texts[GENERATION] = _written(self.generation(json.loads(found)))
        if self.joined.is_new:
            texts.update(self.grown())
            gone = self.outdated([*names, *texts])
            names = [name for name in names if name not in gone]
            texts = {name: text for name, text in texts.items() if name not in gone}
        return SideFiles(sides.tree, tuple(n for n in names if n not in texts), texts)

    def taken(self) -> dict[str, str]:
        """The files of the leader's tokenizer."""
        sides = self.leader.sides
        found = {}
        for name in (*sides.names, *(sides.texts or {})):
            if name in PIECES:
                fact = f"{self.leader.reference}: {name} is left out, {JSON} says the same"
                self.notes.append(fact)
            elif name in FILES or is_template(name):
                text = text_of(sides, name)
                if text is not None:
                    found[name] = text
        return found

    def grown(self) -> dict[str, str]:
        """The files that tell of tokens, with the new ones."""
        data, joined = self.joined.data, self.joined
        entries = {str(each["content"]): each for each in data.get("added_tokens") or []}
        fresh = {token: entries[token] for token in joined.added if token in entries}
        texts = {JSON: json.dumps(data, ensure_ascii=False) + "\n"}
        config = json_of(self.leader, CONFIG)
        if config:
            decoder = dict(config.get("added_tokens_decoder") or {})
            if "added_tokens_decoder" in config or fresh:
                known = {**entries} if not decoder else fresh
                decoder.update(
                    (str(each["id"]), {key: value for key, value in each.items() if key != "id"})
                    for each in known.values()
                )
                config["added_tokens_decoder"] = dict(
                    sorted(decoder.items(), key=lambda item: int(item[0]))
                )
            texts[CONFIG] = _written(config)
        beside = json_of(self.leader, ADDED)
        if beside:
            beside.update((token, int(each["id"])) for token, each in fresh.items())
            texts[ADDED] = _written(beside)
        return {**texts, **self.words()}

    def words(self) -> dict[str, str]:
        """Lists of words and merges, where there are such and words are new."""
        if not self.joined.grown:
            return {}
        model, sides = self.joined.data["model"], self.leader.sides
        held = {*sides.names, *(sides.texts or {})}
        texts = {}
        if VOCAB in held and isinstance(model["vocab"], Mapping):
            added = {str(each["content"]) for each in self.joined.data.get("added_tokens") or []}
            old = json_of(self.leader, VOCAB)
            words = {t: n for t, n in model["vocab"].items() if t not in added or t in old}
            texts[VOCAB] = json.dumps(words, ensure_ascii=False) + "\n"
        pairs = model.get("merges") or []
        if MERGES in held and not any(" " in part for pair in pairs for part in pair):
            lines = [" ".join(pair) for pair in pairs]
            texts[MERGES] = "\n".join(["#version: 0.2", *lines]) + "\n"
        return texts

    def outdated(self, names: list[str]) -> set[str]:
        """Files of the leader that would tell of fewer words than there are."""
        if not self.joined.grown:
            return set()
        written = self.words()
        gone = {n for n in (VOCAB, MERGES, WORDS, *PIECES) if n in names and n not in written}
        self.notes += [
            f"{name} is left out, it lacks words; {JSON} has all" for name in sorted(gone)
        ]
        return gone

    def config(self, config: Config) -> Config:
        """The donor's config with the ids that special tokens have now."""
        if not self.is_moved:
            return config
        return self.renumbered(config, self.leader.config, is_top=True)

    def generation(self, config: Config) -> dict[str, Any]:
        """The donor's generation config with the ids that special tokens have now."""
        theirs = json_of(self.leader, GENERATION) or self.leader.config
        return self.renumbered(config, theirs, is_top=True)

    def renumbered(self, config: Config, theirs: Config, *, is_top: bool) -> dict[str, Any]:
        """A config whose ids of tokens are those of the result."""
        made = copy.deepcopy(dict(config))
        for key, value in config.items():
            if isinstance(value, Mapping):
                part = theirs.get(key)
                inner = part if isinstance(part, Mapping) else theirs
                made[key] = self.renumbered(value, inner, is_top=False)
            elif key in _OWN and key in theirs:
                made[key] = theirs[key]
            elif key.endswith(_BESIDE) or key in _LISTS:
                made[key] = self.moved(key, value)
        if is_top:
            made.update((key, theirs[key]) for key in _OWN if key in theirs and key not in made)
        return made

    def moved(self, key: str, value: Any) -> Any:
        """The ids that some tokens of the donor have in the result."""
        if isinstance(value, list):
            found = [self.moved(key, each) for each in value]
            return [each for each in found if each is not None]
        if type(value) is not int or value not in self.before.by_id:
            return value
        token = self.before.by_id[value]
        if token not in self.joined.ids:
            fact = f"{key} is left empty: {token!r} is not in the vocabulary of the result"
            self.notes.append(fact)
        return self.joined.ids.get(token)


def _written(data: Mapping[str, Any]) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"
