"""Which files of a folder are its weights, where several might be."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from mergegraph.errors import MergeGraphError

SAFE = ".safetensors"
GGUF = ".gguf"
PICKLES = (".bin", ".pt", ".pth", ".ckpt")
KINDS = (SAFE, *PICKLES)
_STEMS = ("model", "pytorch_model", "diffusion_pytorch_model")
_STEM_OF_RESULT = {"pytorch_model": "model"}
_VARIANT = re.compile(
    rf"(?P<stem>{'|'.join(_STEMS)})(?P<kind>\.safetensors|\.bin)\.index\.(?P<variant>[\w-]+)\.json"
    rf"|(?P<stem1>{'|'.join(_STEMS)})\.(?P<variant1>[\w-]+)(?P<kind1>\.safetensors|\.bin)"
)
_SHARD = re.compile(r".*-\d{5}-of-\d{5}")
_OF_TRAINING = re.compile(r"training_args|optimizer|scheduler|scaler|rng_state|random_states")
_FEW = 4


@dataclass(frozen=True)
class Weights:
    """The file of a folder's weights, or the index of them; `stem` is what results are called."""

    file: str
    stem: str
    variant: str = ""

    @property
    def is_index(self) -> bool:
        """Whether the file is the index of others."""
        return self.file.endswith(".json")


def weights_among(label: str, names: Collection[str]) -> Weights | None:
    """The weights among the files of a folder; None if none of them can be read.

    Safetensors come before pickles, the names that loaders know before others. Raises
    MergeGraphError if it is not clear which are meant.
    """
    for kind in (SAFE, ".bin"):
        if plain := _plain(names, kind):
            return plain
    for kind in (SAFE, ".bin"):
        if variants := _variants(names, kind):
            return _only(label, variants)
    for kinds in ((SAFE,), PICKLES):
        found = sorted(name for name in names if name.endswith(kinds) and is_weights(name))
        if lone := [Weights(name, "model") for name in found]:
            return _only(label, lone)
    return None


def not_read(label: str) -> MergeGraphError:
    """What there is to say of a GGUF file."""
    return MergeGraphError(
        f"{label}: GGUF is not read, its tensors have names and orders of their own; name the "
        "model it was made from, or convert it to safetensors first"
    )


def is_weights(name: str) -> bool:
    """Whether a file might be weights of a model, in a format that is read."""
    return name.endswith(KINDS) and not _OF_TRAINING.match(name)


def _plain(names: Collection[str], kind: str) -> Weights | None:
    for stem in _STEMS:
        for file in (f"{stem}{kind}.index.json", f"{stem}{kind}"):
            if file in names:
                return Weights(file, _STEM_OF_RESULT.get(stem, stem))
    return None


def _variants(names: Collection[str], kind: str) -> list[Weights]:
    """Weights that are stored in another way than usual, as `model.fp16.safetensors`."""
    found: dict[str, Weights] = {}
    for name in sorted(names):
        match = _VARIANT.fullmatch(name)
        if match is None or kind not in (match["kind"], match["kind1"]):
            continue
        stem, variant = match["stem"] or match["stem1"], match["variant"] or match["variant1"]
        if not _SHARD.fullmatch(variant):
            found.setdefault(variant, Weights(name, _STEM_OF_RESULT.get(stem, stem), variant))
    return list(found.values())


def _only(label: str, found: list[Weights]) -> Weights:
    if len(found) == 1:
        return found[0]
    names = ", ".join(each.file for each in found[:_FEW])
    fact = f"several weight files ({names}) and no model.safetensors.index.json to join them"
    raise MergeGraphError(f"{label}: {fact}; name the one that is meant")
