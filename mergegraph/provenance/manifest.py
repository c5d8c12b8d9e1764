"""The manifest of a result: all that is needed to check it, or to make it again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from mergegraph.errors import MergeGraphError
from mergegraph.files.jsonfiles import json_text, parse_json
from mergegraph.files.trees import LocalTree, read_document
from mergegraph.provenance.discretion import without_home, without_places
from mergegraph.provenance.lineage import Ancestor, read_ancestor
from mergegraph.secrecy import without_secrets

MANIFEST = "mergegraph.json"
_LONGEST_NAME = 255  # bytes, as file systems have it
FORMAT = 2  # 1 told neither side files, nor papers, nor what inputs were made of


@dataclass(frozen=True)
class Made:
    """How a result was made: the recipe's text, and what was said on the command line.

    `seed` is what was given in place of the recipe's; `stage` the name of the stage it is.
    """

    recipe: str
    text: str
    stage: str | None = None
    settings: tuple[str, ...] = ()
    seed: int | None = None
    device: str = "cpu"
    shard_size: str | None = None
    command: str = "run"


@dataclass(frozen=True)
class Used:
    """A method that took part: the package it came from, its idea and its paper."""

    package: str
    idea: str = ""
    paper: str = ""


@dataclass(frozen=True)
class Stored:
    """A tensor of a result."""

    file: str
    dtype: str
    shape: tuple[int, ...]
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What is told of a result. `sides` are the SHA-256 of its other files; None if not told."""

    key: str
    made: Made
    packages: Mapping[str, str]
    methods: Mapping[str, Used]
    inputs: tuple[Ancestor, ...]
    files: Mapping[str, int]
    tensors: Mapping[str, Stored]
    sides: Mapping[str, str] | None = field(default=None)

    @property
    def weights(self) -> str:
        """The digest of all tensors, by which a result is known whatever its files are."""
        told = sorted((name, each.sha256) for name, each in self.tensors.items())
        return sha256(json.dumps(told).encode()).hexdigest()

    @property
    def parents(self) -> tuple[str, ...]:
        """The models it was made of, by the names that the recipe has for them."""
        return tuple(each.model for each in self.inputs)

    def text(self) -> str:
        """The manifest as it is written."""
        found = {
            "format": FORMAT,
            "key": self.key,
            "command": self.made.command,
            "recipe": {"file": self.made.recipe, "text": self.made.text},
            "stage": self.made.stage,
            "settings": list(self.made.settings),
            "seed": self.made.seed,
            "device": self.made.device,
            "shard_size": self.made.shard_size,
            "packages": dict(self.packages),
            "methods": {name: vars(each) for name, each in self.methods.items()},
            "inputs": [each.data() for each in self.inputs],
            "weights": self.weights,
            "files": dict(self.files),
            "sides": dict(sorted((self.sides or {}).items())),
            "tensors": {name: vars(each) for name, each in self.tensors.items()},
        }
        return json_text(found, indent=1) + "\n"

    def discreet(self) -> Manifest:
        """The manifest with `~` in place of the user's home directory, and without secrets."""
        return self._retold(lambda text: without_home(without_secrets(text)))

    def for_others(self) -> Manifest:
        """The manifest as others may see it: local paths are cut down to their last parts."""
        told = self.discreet()
        models = [each.model for parent in told.inputs for each in parent]
        texts = (told.made.text, *told.made.settings, *models)
        return told._retold(without_places(texts, models))  # noqa: SLF001 - its own

    def _retold(self, tell: Callable[[str], str]) -> Manifest:
        made = replace(
            self.made,
            recipe=tell(self.made.recipe),
            text=tell(self.made.text),
            settings=tuple(tell(each) for each in self.made.settings),
        )
        return replace(self, made=made, inputs=tuple(_renamed(each, tell) for each in self.inputs))


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a directory; None if it has none. Raises MergeGraphError if it is broken."""
    path = folder / MANIFEST
    if not path.is_file():
        return None
    data = read_document(LocalTree(folder, str(folder)), MANIFEST)
    return parse_manifest(data, str(path))


def parse_manifest(text: bytes, path: str) -> Manifest:
    """The manifest that a text is; raises MergeGraphError if it is none."""
    data = parse_json(text, path)
    try:
        return _parse(data)
    except (MergeGraphError, KeyError, TypeError, AttributeError) as error:
        fact = error if isinstance(error, MergeGraphError) else "parts of it are missing or wrong"
        raise MergeGraphError(f"{path}: not a manifest of mergegraph: {fact}") from error


def _parse(data: Mapping[str, Any]) -> Manifest:
    version = data.get("format")
    if version not in (1, FORMAT):
        raise MergeGraphError(f"its format is {version!r}, known are 1 and {FORMAT}")
    sides = data.get("sides")
    return Manifest(
        key=_text(data["key"]),
        made=_made(data),
        packages=_texts(data["packages"]),
        methods={_text(name): _used(each) for name, each in data["methods"].items()},
        inputs=tuple(read_ancestor(each) for each in data["inputs"]),
        files={_file_name(name): _count(each) for name, each in data["files"].items()},
        tensors={_text(name): _stored(each) for name, each in data["tensors"].items()},
        sides=None if sides is None else {_file_name(n): d for n, d in _texts(sides).items()},
    )


def _made(data: Mapping[str, Any]) -> Made:
    """How it was made; format 1 told the seed that the stage had, whoever gave it."""
    seed, stage, size = data.get("seed"), data.get("stage"), data.get("shard_size")
    return Made(
        recipe=_text(data["recipe"]["file"]),
        text=_text(data["recipe"]["text"]),
        stage=None if stage is None else _text(stage),
        settings=tuple(_text(each) for each in data.get("settings", ())),
        seed=None if seed is None else _count(seed),
        device=_text(data.get("device", "cpu")),
        shard_size=None if size is None else _text(size),
        command=_text(data.get("command", "run")),
    )


def _used(data: Any) -> Used:
    return Used(data) if isinstance(data, str) else Used(**_texts(data))


def _stored(data: Mapping[str, Any]) -> Stored:
    shape = tuple(_count(each) for each in data["shape"])
    return Stored(_file_name(data["file"]), _text(data["dtype"]), shape, _text(data["sha256"]))


def _renamed(ancestor: Ancestor, tell: Callable[[str], str]) -> Ancestor:
    return replace(
        ancestor,
        model=tell(ancestor.model),
        at=None if ancestor.at is None else tell(ancestor.at),
        card={key: _told(value, tell) for key, value in ancestor.card.items()},
        inputs=tuple(_renamed(each, tell) for each in ancestor.inputs),
    )


def _told(value: Any, tell: Callable[[str], str]) -> Any:
    """A value of a card, which is a word or a list of them."""
    return tell(value) if isinstance(value, str) else [tell(each) for each in value]


# -- values from outside ---------------------------------------------------------------------


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise MergeGraphError(f"{json.dumps(value)[:40]} is not text")
    return value


def _texts(value: Mapping[str, Any]) -> dict[str, str]:
    return {_text(key): _text(each) for key, each in value.items()}


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise MergeGraphError(f"{json.dumps(value)[:40]} is not a count")
    return value


def _file_name(value: Any) -> str:
    """A name of a file in the directory, which leads nowhere else."""
    name = _text(value)
    is_odd = not name.isprintable() or "\\" in name or len(name.encode()) > _LONGEST_NAME
    if not name or is_odd or Path(name).is_absolute() or ".." in Path(name).parts:
        raise MergeGraphError(f"{name!r} is not a file in it")
    return name
