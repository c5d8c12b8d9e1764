"""Lineage: a model that a result was made of, and what that was made of in turn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mergegraph.errors import MergeGraphError

DEEPEST = 24  # generations that are told
_CARD = ("license", "license_name", "license_link", "pipeline_tag", "language", "base_model")


@dataclass(frozen=True)
class InputFile:
    """A file of weights that was read."""

    name: str
    nbytes: int
    fingerprint: str


@dataclass(frozen=True)
class Ancestor:
    """A model that a result was made of.

    `weights` is the digest of its tensors if it is a result with a manifest, `card` what its card
    says, `hub` and `commit` where it is on the Hub, `at` where it is if not on disk. `is_cut`: it
    has parents that are not told.
    """

    model: str
    files: tuple[InputFile, ...] = ()
    hub: str | None = None
    commit: str | None = None
    at: str | None = None
    weights: str | None = None
    methods: tuple[str, ...] = ()
    card: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[Ancestor, ...] = ()
    is_cut: bool = False

    @property
    def count(self) -> int:
        """How many models are told of here, itself included."""
        return 1 + sum(each.count for each in self.inputs)

    @property
    def on_hub(self) -> tuple[str, ...]:
        """Its id on the Hub, or else the ids of the nearest ancestors that have one."""
        if self.hub is not None:
            return (self.hub,)
        return tuple(dict.fromkeys(name for each in self.inputs for name in each.on_hub))

    def __iter__(self) -> Iterator[Ancestor]:
        """Itself and all that it was made of."""
        yield self
        for each in self.inputs:
            yield from each

    def data(self) -> dict[str, Any]:
        """As it stands in a manifest; what is empty is left out."""
        told = {
            "model": self.model,
            "hub": self.hub,
            "commit": self.commit,
            "at": self.at,
            "files": [vars(each) for each in self.files],
            "weights": self.weights,
            "methods": list(self.methods),
            "card": dict(self.card),
            "inputs": [each.data() for each in self.inputs],
            "is_cut": self.is_cut,
        }
        return {key: value for key, value in told.items() if value}


def facts_of(card: Mapping[str, Any]) -> dict[str, Any]:
    """What matters to descendants of a card's front matter."""
    return {key: card[key] for key in _CARD if _is_fact(card.get(key))}


def read_ancestor(data: Any, deep: int = 0) -> Ancestor:
    """An ancestor from a manifest; raises MergeGraphError if it is not sound."""
    if not isinstance(data, dict) or not isinstance(data.get("model"), str) or deep > DEEPEST:
        raise MergeGraphError("its inputs are not told as they should be")
    lists = {key: data.get(key, []) for key in ("files", "methods", "inputs")}
    card = data.get("card", {})
    if not all(isinstance(each, list) for each in lists.values()) or not isinstance(card, dict):
        raise MergeGraphError(f"its input {data['model']} is not told as it should be")
    return Ancestor(
        model=data["model"],
        files=tuple(_file(data["model"], each) for each in lists["files"]),
        hub=_word(data.get("hub")),
        commit=_word(data.get("commit")),
        at=_word(data.get("at")),
        weights=_word(data.get("weights")),
        methods=tuple(each for each in lists["methods"] if isinstance(each, str)),
        card=facts_of(card),
        inputs=tuple(read_ancestor(each, deep + 1) for each in lists["inputs"]),
        is_cut=data.get("is_cut") is True,
    )


def _file(model: str, data: Any) -> InputFile:
    kinds = {"name": str, "nbytes": int, "fingerprint": str}
    if not isinstance(data, dict) or any(type(data.get(k)) is not t for k, t in kinds.items()):
        raise MergeGraphError(f"the files of its input {model} are not told as they should be")
    return InputFile(data["name"], data["nbytes"], data["fingerprint"])


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _is_fact(value: Any) -> bool:
    """Whether a value of a card is a word, or a list of words."""
    found = value if isinstance(value, list) else [value]
    return bool(found) and all(isinstance(each, str) and each for each in found)
