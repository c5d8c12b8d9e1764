"""Which files a folder of a store has: by its list, or on the web by asking for known names."""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mergegraph import MergeGraphError
from mergegraph_sources.parts.stores import Object, ranges

_INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
_LARGEST_INDEX = 2**28
_MOST = 10_000  # files of a model
_REQUESTS = 16

# what a folder on the web may have; it does not tell, so each is asked for
KNOWN = (
    *_INDEXES,
    "model.safetensors",
    "pytorch_model.bin",
    "adapter_model.safetensors",
    "adapter_config.json",
    "config.json",
    "model_index.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "chat_template.jinja",
    "chat_template.json",
    "preprocessor_config.json",
    "processor_config.json",
    "video_preprocessor_config.json",
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "1_Pooling/config.json",
    "mergegraph.json",
    "LICENSE",
)


def on_website(store: Any) -> dict[str, Object]:
    """The files of a folder on the web that models have, and the shards that its index names."""
    found = probed(store, KNOWN)
    return found | probed(store, _shards(store, found))


def listed(store: Any, place: str) -> dict[str, Object]:
    """The files of a folder by name."""
    import obstore

    found: dict[str, Object] = {}
    for chunk in obstore.list(store):
        found |= {each["path"]: Object.of(each) for each in chunk}
        if len(found) > _MOST:
            raise MergeGraphError(f"{place}: over {_MOST} files; name the folder of one model")
    return dict(sorted(found.items()))


def probed(store: Any, names: Iterable[str]) -> dict[str, Object]:
    """Those of some files that are there."""
    with ThreadPoolExecutor(_REQUESTS) as pool:
        asked = list(names)
        found = pool.map(lambda name: _head(store, name), asked)
        return {name: each for name, each in zip(asked, found, strict=True) if each is not None}


def _head(store: Any, name: str) -> Object | None:
    import obstore

    try:
        return Object.of(obstore.head(store, name))
    except FileNotFoundError:
        return None


def _shards(store: Any, found: dict[str, Object]) -> list[str]:
    """The files that an index names; what is wrong with it is said where it is read again."""
    for index in _INDEXES:
        if index not in found or found[index].nbytes > _LARGEST_INDEX:
            continue
        text = b"".join(ranges(store, found[index], 0, found[index].nbytes))
        try:
            names = set(json.loads(text)["weight_map"].values())
        except (ValueError, KeyError, TypeError, AttributeError):
            return []
        return sorted(n for n in names if isinstance(n, str) and "/" not in n)
    return []
