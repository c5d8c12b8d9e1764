"""Quantised checkpoints, opened as a run does."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mergegraph.library import library_of
from mergegraph.models.model import Model
from mergegraph.plugins import installed_plugins
from mergegraph.testing import check_codec


@pytest.fixture(scope="session")
def opened() -> Callable[[Path], Model]:
    """The model of a directory, decoded: `opened(path)`."""
    plugins = installed_plugins()

    def open_model(path: Path) -> Model:
        library = library_of(plugins)
        return library.shelf().model(str(path))

    return open_model


@pytest.fixture(scope="session")
def decoded(opened, executed) -> Callable[..., dict[str, torch.Tensor]]:
    """The plain tensors of a directory, computed in a small budget: `decoded(path)`.

    That codecs keep their word is checked on the way.
    """

    def decode(path: Path) -> dict[str, torch.Tensor]:
        is_file = path.is_file()
        stored = load_file(path if is_file else path / "model.safetensors")
        config = {} if is_file else json.loads((path / "config.json").read_text())
        for codec in installed_plugins().codecs.values():
            check_codec(codec, stored, config)
        tensors = opened(path).tensors
        return {
            name: executed(task, budget=64 * 2**20, threads=2) for name, task in tensors.items()
        }

    return decode
