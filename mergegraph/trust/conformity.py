"""Conformity: whether config.json and the index say what the tensors are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mergegraph.config import (
    Config,
    layer_counts,
    quantization,
    stated,
    ties_head,
    vocabulary_sizes,
)
from mergegraph.errors import MergeGraphError
from mergegraph.files.checkpoint import INDEX
from mergegraph.files.header import Entry
from mergegraph.files.jsonfiles import read_json
from mergegraph.names import is_embedding, is_head, layer_of, layer_stacks

Entries = Mapping[str, Entry]

_WIDTHS = (
    "hidden_size",
    "d_model",
    "n_embd",
    "dim",
    "emb_dim",
    "embed_dim",
    "embedding_size",
    "word_embed_proj_dim",
)
_SHARED = ("num_hidden_groups",)  # ALBERT: one group of weights stands for many layers
_MORE_LAYERS = ("num_nextn_predict_layers",)  # stored behind the last layer
_GENERATES = "ForCausalLM"
_HEAD = "lm_head.weight"
_MATRIX = 2
_INDEX = ".safetensors.index.json"
_OF_DIFFUSERS = "_class_name"  # its configs use the same words for other things


def against_config(config: Config, entries: Entries) -> Iterator[str]:
    """What a config says of layers, vocabulary, width, head and dtype, where tensors differ."""
    if config and _OF_DIFFUSERS not in config:
        yield from _layers(config, entries)
        yield from _vocabulary(config, entries)
        yield from _head(config, entries)
        if quantization(config) is None:
            yield from _dtype(config, entries)


def against_index(folder: Path, entries: Entries) -> Iterator[str]:
    """Where the index and the files differ, or an index is missing."""
    files = sorted({entry.path.name for entry in entries.values()})
    there = sorted(folder.glob(f"*{_INDEX}"))
    at = there[0].name if there else INDEX
    if not there:
        if len(files) > 1:
            yield f"{at}: missing, and the tensors are in {len(files)} files"
        return
    try:
        index = read_json(folder / at)
    except MergeGraphError as error:
        yield f"{at}: {error}"
        return
    told = index.get("weight_map")
    if not isinstance(told, dict):
        yield f"{at}: has no weight_map"
        return
    for name, file in told.items():
        if name not in entries:
            yield f"{at}: names {name}, which is in no file"
        elif entries[name].path.name != file:
            yield f"{at}: says that {name} is in {file}, it is in {entries[name].path.name}"
    yield from (f"{at}: does not name {name}" for name in entries if name not in told)
    yield from (f"{at}: {each}" for each in _total(index, entries))


def _total(index: Mapping[str, Any], entries: Entries) -> Iterator[str]:
    about = index.get("metadata")
    total = about.get("total_size") if isinstance(about, dict) else None
    stored = sum(entry.spec.nbytes for entry in entries.values())
    if type(total) is int and total != stored:
        yield f"says total_size {total}, the tensors have {stored} bytes"


def _layers(config: Config, entries: Entries) -> Iterator[str]:
    """Where a number of layers fits no stack, and a stack no number: a tower may be left out."""
    stacks = layer_stacks(entries)
    more = sum(stated(config, _MORE_LAYERS))
    counts = layer_counts(config)
    if not stacks or stated(config, _SHARED):
        return
    known = {count + extra for count in counts for extra in (0, more)}
    odd = {stack: count for stack, count in stacks.items() if count not in known}
    for count in sorted(counts if odd else ()):
        if not {count, count + more} & set(stacks.values()):
            found = ", ".join(f"{number} ({stack})" for stack, number in sorted(odd.items()))
            yield f"config.json: says {count} layers, the tensors have {found}"
    yield from _gaps({stack: stacks[stack] for stack in stacks.keys() - odd}, entries)


def _gaps(stacks: Mapping[str, int], entries: Entries) -> Iterator[str]:
    """Layers that are missing from the large stacks: in small ones numbers may be left out."""
    there: dict[str, list[int]] = {stack: [] for stack in sorted(stacks)}
    for name in entries:
        layer = layer_of(name)
        if layer is not None and layer.stack in there:
            there[layer.stack].append(layer.index)
    most = max(map(len, there.values()), default=0)
    for stack, found in there.items():
        missing = [str(index) for index in sorted({*range(stacks[stack])} - {*found})]
        if missing and 2 * len(found) >= most:
            yield f"{stack}: layer {', '.join(missing[:8])} of {stacks[stack]} is missing"


def _vocabulary(config: Config, entries: Entries) -> Iterator[str]:
    sizes, widths = vocabulary_sizes(config), stated(config, _WIDTHS)
    wanted = [name for name in entries if is_embedding(name) or name.endswith(_HEAD)]
    shapes = {name: entries[name].spec.shape for name in wanted}
    fits = any(shape[0] in sizes for name, shape in shapes.items() if name.endswith(_HEAD))
    for name, shape in shapes.items():
        if len(shape) != _MATRIX:
            continue
        # some architectures embed a few more words than they can say
        is_larger = fits and not name.endswith(_HEAD) and shape[0] > max(sizes)
        if sizes and shape[0] not in sizes and not is_larger:
            yield f"config.json: says vocab_size {_listed(sizes)}, {name} has {shape[0]} rows"
        if widths and shape[1] not in widths:
            yield f"config.json: says hidden_size {_listed(widths)}, {name} has {shape[1]} columns"


def _head(config: Config, entries: Entries) -> Iterator[str]:
    heads = [name for name in entries if is_head(name)]
    tied = ties_head(config)
    generates = any(_GENERATES in str(each) for each in config.get("architectures") or ())
    if tied is False and generates and not heads:
        yield "config.json: says the head is not tied to the embedding, and no head is stored"


def heads_apart(config: Config, entries: Entries, digests: Mapping[str, str]) -> Iterator[str]:
    """Heads that are stored with other values than the embedding that the config ties them to."""
    if not ties_head(config):
        return
    embeddings = {digests.get(name) for name in entries if is_embedding(name)}
    for name in entries:
        if is_head(name) and embeddings and digests.get(name) not in embeddings:
            yield f"config.json: says {name} is tied to the embedding, its values are others"


def _dtype(config: Config, entries: Entries) -> Iterator[str]:
    named = config.get("dtype", config.get("torch_dtype"))
    nbytes: dict[str, int] = {}
    for entry in entries.values():
        if entry.spec.is_float:
            nbytes[entry.spec.dtype] = nbytes.get(entry.spec.dtype, 0) + entry.spec.nbytes
    most = max(nbytes, key=lambda dtype: nbytes[dtype]) if nbytes else None
    if isinstance(named, str) and most is not None and named not in (most, "auto"):
        yield f"config.json: says dtype {named}, most tensors are {most}"


def _listed(numbers: Iterable[int]) -> str:
    return " or ".join(map(str, sorted(numbers)))
