"""Tiny models with tokenizers of their own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

import mergegraph
from mergegraph.files.checkpoint import checkpoint_of
from mergegraph.files.trees import LocalTree
from mergegraph.models.model import Model, checkpoint_model


@pytest.fixture
def tokenized(tmp_path: Path) -> Callable[..., Path]:
    """Write a model of an embedding, a head and a norm, with a tokenizer: `tokenized("a", ...)`.

    Row i of the embedding is `start` + i in all entries, that of the head a thousand more.
    """

    def write(
        name: str,
        tokenizer: Tokenizer,
        *,
        start: float = 0,
        rows: int | None = None,
        width: int = 64,
        is_tied: bool = False,
        config: Mapping[str, Any] | None = None,
        files: Mapping[str, Any] | None = None,
        tensors: Mapping[str, torch.Tensor] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Path:
        root = tmp_path / name
        root.mkdir(parents=True)
        count = rows or max(tokenizer.get_vocab().values()) + 1
        embedding = (start + torch.arange(count))[:, None].expand(count, width).to(dtype)
        held = {
            "model.embed_tokens.weight": embedding.contiguous(),
            "model.norm.weight": torch.ones(width, dtype=dtype),
            **(tensors or {}),
        }
        if not is_tied:
            held["lm_head.weight"] = (embedding + 1000).contiguous()
        save_file(held, root / "model.safetensors")
        told = {"vocab_size": count, "tie_word_embeddings": is_tied, **(config or {})}
        tokenizer.save(str(root / "tokenizer.json"))
        for file, content in {"config.json": told, **(files or {})}.items():
            text = content if isinstance(content, str) else json.dumps(content)
            (root / file).write_text(text, encoding="utf-8")
        return root

    return write


@pytest.fixture
def opened() -> Callable[[Path], Model]:
    """The model in a directory."""
    return lambda path: checkpoint_model(checkpoint_of(str(path), LocalTree(path, str(path))))


@pytest.fixture
def merged(tmp_path: Path) -> Callable[..., Path]:
    """Merge models by a recipe: the first is the base; gives the result's place."""

    def merge(*models: Path, more: str = "", method: str = "linear", **options: Any) -> Path:
        recipe = tmp_path / "recipe.yaml"
        entries = "".join(f"- {{model: {each}, parameters: {{weight: 1}}}}\n" for each in models)
        head = f"merge_method: {method}\nbase_model: {models[0]}\ndtype: float32\n"
        recipe.write_text(f"{head}models:\n{entries}{more}")
        mergegraph.run(recipe, out=tmp_path / "out", restart=True, **options)
        return tmp_path / "out"

    return merge
