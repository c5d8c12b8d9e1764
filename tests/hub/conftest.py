"""A Hub for tests, and models on it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from loopback import TOKEN, Hub
from mergegraph_sources.hub import open_model

from mergegraph.testing import tiny_family


@pytest.fixture
def hub():
    server = Hub()
    yield server
    server.close()


@pytest.fixture
def opened(hub, tmp_path):
    """Open a model of the Hub: `opened("org/name")`."""
    return lambda reference: open_model(
        reference, endpoint=hub.endpoint, cache=tmp_path / "hf" / "hub", pause=0
    )


@pytest.fixture
def slow(hub, tmp_path):
    """Open a model of the Hub, with little patience."""
    return lambda reference: open_model(
        reference, endpoint=hub.endpoint, cache=tmp_path / "hf" / "hub", pause=0, seconds=0.3
    )


@pytest.fixture
def family(hub, tmp_path):
    """A base and two models tuned from it, on the Hub as `org/...` and on disk."""
    folders = tiny_family(tmp_path / "family", layers=2, hidden=64)
    for folder in folders:
        hub.add(f"org/{folder.name}", files_of(folder))
    return folders


def files_of(folder):
    paths = (each for each in folder.rglob("*") if each.is_file())
    return {each.relative_to(folder).as_posix(): each.read_bytes() for each in paths}


@pytest.fixture
def connected(hub, tmp_path, monkeypatch):
    """Have this process use the Hub; give it True to have it offline."""
    from huggingface_hub import constants

    def connect(*, is_offline=False):
        template = hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", is_offline)
        monkeypatch.setenv("HF_TOKEN", TOKEN)

    connect()
    return connect


@pytest.fixture
def command(hub, tmp_path):
    """Run the command line against the Hub: `command("plan", recipe)`."""

    def run(*arguments, wait=True):
        found = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING"))},
            "HF_ENDPOINT": hub.endpoint,
            "HF_HOME": str(tmp_path / "hf"),
            "HF_TOKEN": TOKEN,
        }
        command = [sys.executable, "-m", "mergegraph", *map(str, arguments)]
        started = subprocess.Popen(
            command,
            env=found,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if not wait:
            return started
        text, _ = started.communicate(timeout=120)
        return started.returncode, text

    return run


@pytest.fixture
def recipe(tmp_path):
    """Write a linear merge of models: `recipe("org/a", "org/b")`."""

    def write(*models, name="recipe"):
        lines = [f"- model: {each}" for each in models]
        path = Path(tmp_path / f"{name}.yaml")
        path.write_text("\n".join(["merge_method: linear", "models:", *lines]))
        with path.open("a") as file:
            file.write("\nparameters: {weight: 1.0}\n")
        return path

    return write
