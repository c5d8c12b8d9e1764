"""A search for a point: models are points, and the nearer to the goal the better."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import pytest
import torch

from mergegraph import evaluator, hookimpl
from mergegraph.breed.command import Questions, carry_out, prepare
from mergegraph.breed.wishes import Wishes
from mergegraph.plugins import collect, installed_plugins
from mergegraph.search.record import read_record
from mergegraph.settings import Settings

GOALS = {"here": [2.0, 3.0, 4.0, 1.0], "there": [1.0, 3.0, 4.0, 2.0]}
SEEN: list[tuple[str, str, dict[str, torch.Tensor]]] = []


@evaluator(splits=("here", "there"), main="nearness", lower_is_better=("distance",))
def nearness(model, data):
    """How near a model is to the goal; what was examined is noted."""
    tensors = {name: each.clone() for name, each in model.tensors.items()}
    SEEN.append((model.name, data, tensors))
    distance = (tensors["w"].double() - torch.tensor(GOALS[data])).norm().item()
    return {"nearness": -distance, "distance": distance}


@dataclass
class Search:
    """Searches in a folder, with what they say."""

    folder: object
    models: list[str]
    base: str
    plugins: object
    said: list[str] = field(default_factory=list)

    def prepared(self, restart=False, reports="nearness", **wishes):
        chosen = Wishes(
            tuple(self.models), **{"base": self.base, "parameters": {"t": 0.5}, **wishes}
        )
        questions = Questions("nearness", reports)
        settings = Settings(memory="256MiB", threads=1)
        return prepare(chosen, questions, self.plugins, settings, out=self.folder, restart=restart)

    def run(self, restart=False, **wishes):
        search = self.prepared(restart, **wishes)
        carry_out(search, restart=restart, parallel=1, say=self.said.append)
        return json.loads((self.folder / "search.json").read_text())

    @property
    def found(self):
        """The record as it is read."""
        return read_record(self.folder)


@pytest.fixture(scope="session")
def plugins():
    own = collect([("own 1.0", SimpleNamespace(evaluators=hookimpl(lambda: [nearness])))])
    return replace(
        installed_plugins(), evaluators=own.evaluators, evaluator_packages=own.evaluator_packages
    )


@pytest.fixture
def seen():
    """What was examined: names, data, tensors."""
    SEEN.clear()
    return SEEN


@pytest.fixture
def search(checkpoint, plugins, tmp_path, seen, monkeypatch):
    """Three fine-tunings of a base, in bfloat16; thirds are not what they are when rounded."""
    monkeypatch.chdir(tmp_path)
    points = {
        "base": [0.1, 0.2, 0.3, 0.4],
        "a": [6.3, 0.1, 0.7, 0.3],
        "b": [0.2, 7.1, 0.4, 0.1],
        "c": [0.9, 0.3, 9.3, 0.2],
    }
    for name, point in points.items():
        checkpoint(name, w=torch.tensor(point, dtype=torch.bfloat16))
    return Search(tmp_path / "found", ["a", "b", "c"], "base", plugins)
