"""Vocabularies as models have them: the tokens of a tokenizer and their ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

from mergegraph.errors import MergeGraphError
from mergegraph.files.jsonfiles import parse_json
from mergegraph.files.trees import read_document
from mergegraph.models.model import Model, SideFiles

JSON = "tokenizer.json"
CONFIG = "tokenizer_config.json"
ADDED = "added_tokens.json"
SPECIAL = "special_tokens_map.json"
VOCAB, MERGES, WORDS = "vocab.json", "merges.txt", "vocab.txt"
PIECES = (
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "spm.model",
    "source.spm",
    "target.spm",
    "tekken.json",
)
FILES = (JSON, CONFIG, ADDED, SPECIAL, VOCAB, MERGES, WORDS, *PIECES)
_MOST = 2**32  # ids, as the library has them
_REMEDY = (
    "save it once with AutoTokenizer.from_pretrained(...).save_pretrained(...) of transformers"
)


@dataclass(frozen=True)
class Vocabulary:
    """A model's tokenizer: `ids` of all tokens, `added` the entries of those found before all else.

    `data` is what tokenizer.json holds.
    """

    reference: str
    ids: Mapping[str, int]
    added: Mapping[str, Mapping[str, Any]]
    data: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """How words are cut into tokens: BPE, WordPiece, Unigram or WordLevel."""
        model = self.data["model"]
        if "type" in model:
            return str(model["type"])
        if isinstance(model["vocab"], list):
            return "Unigram"
        is_pieces = "max_input_chars_per_word" in model
        return "BPE" if "merges" in model else "WordPiece" if is_pieces else "WordLevel"

    @cached_property
    def by_id(self) -> Mapping[int, str]:
        """The token of each id."""
        return {number: token for token, number in self.ids.items()}

    @property
    def merges(self) -> list[tuple[str, str]]:
        """The merges of a BPE, in order."""
        found = self.data["model"].get("merges", [])
        return [tuple(each.split(" ", 1) if isinstance(each, str) else each) for each in found]


def read_vocabulary(model: Model) -> Vocabulary:
    """The vocabulary of a model's tokenizer; raises MergeGraphError if it cannot be told."""
    text = text_of(model.sides, JSON)
    if text is None:
        raise MergeGraphError(f"{model.reference}: {_lacking(model.sides)}; {_REMEDY}")
    data = parse_json(text, f"{model.reference}: {JSON}")
    try:
        ids, added = _tokens(data)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise MergeGraphError(f"{model.reference}: {JSON} is not a tokenizer; {_REMEDY}") from error
    for token, entry in _added_beside(model).items():
        if token not in ids and entry["id"] not in ids.values():
            ids[token], added[token] = entry["id"], entry
    if len(set(ids.values())) < len(ids):
        raise MergeGraphError(f"{model.reference}: {JSON} has two tokens of one id; {_REMEDY}")
    return Vocabulary(model.reference, ids, added, data)


def _lacking(sides: SideFiles) -> str:
    held = [name for name in (*PIECES, VOCAB, WORDS) if name in sides.names]
    return f"has {held[0]} and no {JSON} to read" if held else f"has no {JSON}"


def _tokens(data: Mapping[str, Any]) -> tuple[dict[str, int], dict[str, Mapping[str, Any]]]:
    vocab = data["model"]["vocab"]
    if isinstance(vocab, list):
        vocab = {piece: number for number, (piece, _) in enumerate(vocab)}
    ids = {str(token): _id(number) for token, number in vocab.items()}
    added = {str(each["content"]): each for each in data.get("added_tokens") or []}
    ids.update((token, _id(each["id"])) for token, each in added.items())
    return ids, added


def _id(value: Any) -> int:
    if type(value) is not int or not 0 <= value < _MOST:
        raise ValueError(f"{value!r} is not an id")
    return value


def _added_beside(model: Model) -> dict[str, dict[str, Any]]:
    """Tokens that only the files beside tokenizer.json tell of."""
    config = json_of(model, CONFIG).get("added_tokens_decoder")
    found = {}
    for number, each in (config if isinstance(config, dict) else {}).items():
        if isinstance(each, dict) and "content" in each and str(number).isdigit():
            found[str(each["content"])] = {"id": int(number), **each}
    for token, number in json_of(model, ADDED).items():
        if type(number) is int:
            found.setdefault(token, {"id": number, **entry_of(token, is_special=False)})
    return found


def entry_of(token: str, *, is_special: bool) -> dict[str, Any]:
    """What a tokenizer says of an added token that is taken as it stands."""
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"content": token, **flags, "special": is_special}


def text_of(sides: SideFiles, name: str) -> str | None:
    """The text of a side file; None if there is no such file."""
    if sides.texts and name in sides.texts:
        return sides.texts[name]
    if sides.tree is None or name not in sides.names:
        return None
    try:
        return read_document(sides.tree, name).decode()
    except ValueError as error:
        place = f"{sides.tree.label}: {name}"
        raise MergeGraphError(f"{place} cannot be read as text: {error}") from error


def json_of(model: Model, name: str) -> dict[str, Any]:
    """The JSON object in a side file; empty if there is no such file."""
    text = text_of(model.sides, name)
    return {} if text is None else parse_json(text, f"{model.reference}: {name}")


def files_digest(model: Model) -> str:
    """A digest of the files of a model's tokenizer that say which id a token has."""
    digest = sha256()
    for name in (JSON, VOCAB, MERGES, WORDS, *PIECES):
        if model.sides.texts and name in model.sides.texts:
            content = model.sides.texts[name].encode()
        elif model.sides.tree is not None and name in model.sides.names:
            content = read_document(model.sides.tree, name)
        else:
            continue
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()
