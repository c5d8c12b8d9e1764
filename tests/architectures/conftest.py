"""Families of tiny models, and what they give for an input."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from kinds import KINDS, SEEN, Kind, Pick, Stack
from safetensors.torch import load_file

import mergegraph
from mergegraph.pipeline import finish


@dataclass(frozen=True)
class Member:
    """A model in memory, and the directory that it was loaded from."""

    path: Path
    model: Any

    def stored(self) -> dict[str, torch.Tensor]:
        """The tensors of its files."""
        return load_file(self.path / "model.safetensors")


@pytest.fixture(scope="session")
def transformers() -> Iterator[Any]:
    """The library, quiet, and on one core: models are so tiny that a second one hinders."""
    library = pytest.importorskip("transformers")
    library.logging.set_verbosity_error()
    library.utils.logging.disable_progress_bar()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield library
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def loaded(transformers: Any) -> Callable[[str, Path], Any]:
    """Load a model as its kind is loaded, by the door that everyone uses; all keys must fit."""

    def load(kind: str, path: Path) -> Any:
        door = getattr(transformers, KINDS[kind].loads)
        model, told = door.from_pretrained(path, output_loading_info=True)
        assert not {what: keys for what, keys in told.items() if keys}
        return model.eval()

    return load


@pytest.fixture(scope="session")
def family(transformers: Any, loaded: Any, tmp_path_factory: Any) -> Callable[[str], Any]:
    """Three models of a kind, none of whose entries is as it was made: `family("bert")`."""
    known: dict[str, tuple[Member, ...]] = {}

    def member(kind: str, seed: int, root: Path) -> Member:
        path = root / f"model-{seed}"
        _drawn(transformers, KINDS[kind], seed).save_pretrained(path)
        return Member(path, loaded(kind, path))

    def made(kind: str) -> tuple[Member, ...]:
        if kind not in known:
            root = tmp_path_factory.mktemp("family")
            known[kind] = tuple(member(kind, seed, root) for seed in range(3))
        return known[kind]

    return made


@pytest.fixture
def merged(tmp_path: Path) -> Callable[..., dict[str, Path]]:
    """Run recipes together: gives the directory of each result by the name of its recipe."""

    def run(recipes: dict[str, Any], *, whole: bool) -> dict[str, Path]:
        for name, recipe in recipes.items():
            (tmp_path / f"{name}.yaml").write_text(json.dumps(recipe, default=str))
        paths = [tmp_path / f"{name}.yaml" for name in recipes]
        out = tmp_path / "merged"  # several get a folder each in it
        out = out / next(iter(recipes)) if len(recipes) == 1 else out
        prepared = mergegraph.plan(*paths, out=out, memory="64MiB", threads=1)
        assert not whole or not any(each.left_out for each in prepared.plan.accounts)
        finish(prepared)
        return {each.path.name: each.path for each in prepared.plan.directories}

    return run


@pytest.fixture(scope="session")
def answer() -> Callable[[str, Any], torch.Tensor]:
    """What a model of a kind gives for the input of the kind."""

    def ask(kind: str, model: Any) -> torch.Tensor:
        given = _given(KINDS[kind].fed)
        for each in model.modules():
            if hasattr(getattr(each, "config", None), "use_cache"):
                each.config.use_cache = False
        with torch.no_grad():
            return model(**given)[0]

    return ask


@pytest.fixture(scope="session")
def assembled(family: Any) -> Callable[[str, Stack, tuple[Pick, ...]], Any]:
    """Put a model together in memory: of model 1 of a family, with layers of models 1 and 2."""

    def put(kind: str, stack: Stack, picks: tuple[Pick, ...]) -> Any:
        members = [each.model for each in family(kind)[1:]]
        made = copy.deepcopy(members[0])
        lists = [each.get_submodule(stack.path) for each in members]
        _told(made, stack, picks)
        holder, _, name = stack.path.rpartition(".")
        new = torch.nn.ModuleList(copy.deepcopy(lists[model][at]) for model, at in picks)
        _numbered(new)
        _with_what_the_first_has(new, lists[picks[0][0]])
        setattr(made.get_submodule(holder), name, new)
        return made

    return put


def _drawn(transformers: Any, kind: Kind, seed: int) -> Any:
    """A model of random entries."""
    config = transformers.AutoConfig.for_model(kind.type, **copy.deepcopy(dict(kind.config)))
    torch.manual_seed(seed)
    model = getattr(transformers, kind.loads).from_config(config)
    with torch.no_grad():
        for each in model.parameters():
            each.add_(torch.randn_like(each) * 0.1)
    return model


def _given(fed: str) -> dict[str, torch.Tensor]:
    """An input of some words; equal for equal words."""
    generator = torch.Generator().manual_seed(5)
    text = torch.randint(3, 45, (2, 7), generator=generator)
    image = torch.randn(2, 3, 8, 8, generator=generator)
    inputs = {
        "text": {"input_ids": text},
        "text, other text": {"input_ids": text, "decoder_input_ids": text.flip(1)},
        "sound, text": {
            "input_features": image.view(2, 8, -1)[:, :, :20],
            "decoder_input_ids": text,
        },
        "waves": {"input_values": image.view(2, -1)[:, :64]},
        "image": {"pixel_values": image},
        "text, image": {"input_ids": text, "pixel_values": image},
        "text with image as four": {"input_ids": _led_by(4, text), "pixel_values": image},
        "text with image as one": {
            "input_ids": _led_by(1, text),
            "pixel_values": image,
            "image_sizes": torch.tensor([[8, 8], [8, 8]]),
        },
        "text with patches": {
            "input_ids": _led_by(4, text),
            "pixel_values": torch.randn(32, 3 * 2 * 4 * 4, generator=generator),
            "image_grid_thw": torch.tensor([[1, 4, 4], [1, 4, 4]]),
            "mm_token_type_ids": (_led_by(4, text) == SEEN).int(),
        },
        "text with tiles": {
            "input_ids": text,
            "pixel_values": image[:, None, None],
            "aspect_ratio_ids": torch.ones(2, 1, dtype=torch.long),
            "aspect_ratio_mask": torch.ones(2, 1, 1, dtype=torch.long),
            "cross_attention_mask": torch.ones(2, 7, 1, 1, dtype=torch.long),
        },
    }
    return inputs[fed]


def _led_by(count: int, text: torch.Tensor) -> torch.Tensor:
    return torch.cat([torch.full((len(text), count), SEEN), text], 1)


def _told(model: Any, stack: Stack, picks: tuple[Pick, ...]) -> None:
    """Let a model, its modules and their configs say what layers there are now."""
    part = getattr(model.config, stack.part) if stack.part else model.config
    said = {key: [_cyclic(getattr(part, key), at) for _, at in picks] for key in stack.lists}
    for key in stack.numbers:
        said[key] = [i for i, (_, at) in enumerate(picks) if at in getattr(part, key)]
    configs = [part, *(getattr(each, "config", None) for each in model.modules())]
    holder = model.get_submodule(stack.path.rpartition(".")[0])
    for each in [holder, *(each for each in configs if type(each) is type(part))]:
        for key, value in {**said, stack.count: len(picks)}.items():
            if hasattr(each, key):
                setattr(each, key, value)


def _cyclic(values: list[Any], at: int) -> Any:
    return values[at % len(values)]


def _numbered(layers: Any) -> None:
    """Number layers anew."""
    for i, layer in enumerate(layers):
        for each in layer.modules():
            for key in ("layer_idx", "layer_id"):
                if hasattr(each, key):
                    setattr(each, key, i)


def _with_what_the_first_has(layers: Any, of: Any) -> None:
    """Let the first layer, and no other, have what only the first of a model has, for them all."""
    first, second = (set(dict(each.named_modules())) for each in list(of)[:2])
    if not first > second:
        return
    for name in first - second:
        holder, _, key = name.rpartition(".")
        for i, layer in enumerate(layers):
            inside = layer.get_submodule(holder)
            if i == 0:
                setattr(inside, key, copy.deepcopy(of[0].get_submodule(name)))
            elif hasattr(inside, key):
                delattr(inside, key)
            if hasattr(inside, "has_relative_attention_bias"):
                inside.has_relative_attention_bias = i == 0
