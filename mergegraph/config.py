"""config.json of a model: what it says of layers and vocabulary, and how it follows a merge.

A model in several folders has the config of each under the folder's name with a slash, as `unet/`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from mergegraph.names import part_of

Config = Mapping[str, Any]

_COUNTS = (
    "num_hidden_layers",
    "n_layer",
    "n_layers",
    "num_layers",
    "num_decoder_layers",
    "encoder_layers",
    "decoder_layers",
    "depth",
)
_ALIAS = "num_hidden_layers"  # of models of two sides: the layers of the encoder
_QUANTIZED = ("quantization_config", "compression_config", "quantization")
_FLOATS = ("float32", "float16", "bfloat16")
_TIED = "tie_word_embeddings"


def config_of(config: Config, name: str) -> Config:
    """The config of the part of a model that a tensor belongs to; without parts, the whole."""
    part = part_of(name)
    found: Config = config[part] if part and part in config else config
    return found


def in_part(
    config: Config, name: str, change: Callable[[Config], dict[str, Any]]
) -> dict[str, Any]:
    """The config with that of the part changed that a tensor belongs to."""
    part = part_of(name)
    is_part = bool(part) and part in config
    return {**config, part: change(config[part])} if is_part else change(config)


def config_files(config: Config) -> Iterator[tuple[str, Config]]:
    """The files that a config is stored in, with the content of each."""
    if own := {key: value for key, value in config.items() if not key.endswith("/")}:
        yield "config.json", own
    for key, value in config.items():
        if key.endswith("/"):
            yield f"{key}config.json", value


def layer_counts(config: Config) -> set[int]:
    """Every number of layers that a config, or a config inside it, states."""
    return stated(config, _COUNTS)


def layers_behind(config: Config) -> int:
    """How many layers follow the last one, to guess further tokens; loaders may leave them."""
    found = (part.get("num_nextn_predict_layers") for part in _parts(config))
    return max((count for count in found if type(count) is int), default=0)


def vocabulary_sizes(config: Config) -> set[int]:
    """Every vocabulary size that a config, or a config inside it, states."""
    found = (part.get("vocab_size") for part in _parts(config))
    return {size for size in found if type(size) is int}


def stated(config: Config, keys: Sequence[str]) -> set[int]:
    """Every whole number that a config, or a config inside it, states for some keys."""
    return {part[key] for part in _parts(config) for key in keys if type(part.get(key)) is int}


def ties_head(config: Config) -> bool | None:
    """Whether the head is the input embedding; None if the config does not say."""
    told = [part[_TIED] for part in _parts(config) if isinstance(part.get(_TIED), bool)]
    return told[0] if told else None


def quantization(config: Config) -> str | None:
    """The name of the method by which the weights are quantised, if they are."""
    told = (part.get(key) for part in _parts(config) for key in _QUANTIZED)
    found = next((each for each in told if isinstance(each, Mapping) and each), None)
    return None if found is None else str(found.get("quant_method") or "unnamed")


def stated_dtype(config: Config) -> str | None:
    """The dtype of plain weights that a config, or a config inside it, states."""
    told = (part.get(key) for part in _parts(config) for key in ("dtype", "torch_dtype"))
    names = (str(each).removeprefix("torch.") for each in told if each is not None)
    return next((name for name in names if name in _FLOATS), None)


def without_quantization(config: Config) -> dict[str, Any]:
    """The config of a model whose weights are plain tensors."""
    adapted = copy.deepcopy(dict(config))
    for part in _parts(adapted):
        for key in _QUANTIZED:
            if isinstance(part.get(key), Mapping):
                del part[key]
    return adapted


def counts_of(config: Any, stack: str, count: int) -> list[tuple[tuple[str, ...], Any, str]]:
    """Where a config states how many layers a stack has: where its side is named, if any is."""
    found = [
        (path, part, key)
        for path, part in _located(config)
        for key in _COUNTS
        if part.get(key) == count
    ]
    sides = [sides_of(*path, key) for path, _, key in found]
    wanted = sides_of(stack)
    named = [each for each, side in zip(found, sides, strict=True) if side and side <= wanted]
    plain = [each for each, side in zip(found, sides, strict=True) if not side]
    if named and wanted == {"encoder"}:
        named += [each for each in plain if each[2] == _ALIAS and each[0] == named[0][0]]
    return named or plain or ([] if wanted else found)


def sides_of(*words: str) -> set[str]:
    """Which side of a model of several sides is meant: encoder, decoder, text, vision, audio."""
    text = ".".join(words).replace("language", "text").replace("visual", "vision")
    return {side for side in ("encoder", "decoder", "text", "vision", "audio") if side in text}


def with_vocabulary(config: Config, before: int, rows: int) -> dict[str, Any]:
    """The config with vocabularies of size `before` resized."""
    adapted = copy.deepcopy(dict(config))
    for part in _parts(adapted):
        if part.get("vocab_size") == before:
            part["vocab_size"] = rows
    return adapted


def with_untied_head(config: Config) -> dict[str, Any]:
    """The config of a model that stores a head of its own."""
    adapted = copy.deepcopy(dict(config))
    tied = [part for part in _parts(adapted) if part.get(_TIED)]
    for part in tied or [adapted]:
        part[_TIED] = False
    return adapted


def with_dtypes(config: Config, dtypes: Mapping[str, str]) -> dict[str, Any]:
    """The config of each part naming the dtype that most of the part's weights are stored in.

    The parts of a pipeline are of many kinds, and only those that speak of a dtype have it named.
    """
    adapted = {
        key: _renamed(value, dtypes[key]) if key in dtypes else value
        for key, value in config.items()
        if key.endswith("/")
    }
    own = {key: value for key, value in config.items() if not key.endswith("/")}
    return {**(with_dtype(own, dtypes[""]) if own and "" in dtypes else own), **adapted}


def with_dtype(config: Config, dtype: str) -> dict[str, Any]:
    """The config naming the dtype that most of the weights are stored in.

    Those of diffusers, which name a class, do not speak of it.
    """
    if "_class_name" in config:
        return _renamed(config, dtype)
    key = "dtype" if "dtype" in config else "torch_dtype"
    return _renamed({**config, key: dtype}, dtype)


def _renamed(config: Config, dtype: str) -> dict[str, Any]:
    adapted = copy.deepcopy(dict(config))
    for part in _parts(adapted):
        for key in ("dtype", "torch_dtype"):
            if isinstance(part.get(key), str):
                part[key] = dtype
    return adapted


def _located(config: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    inner = [
        found
        for key, value in config.items()
        if isinstance(value, Mapping)
        for found in _located(value, (*path, key))
    ]
    return [(path, config), *inner]


def _parts(config: Any) -> list[Any]:
    return [part for _, part in _located(config)]
