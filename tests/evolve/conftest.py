"""Spaces of recipes, and searches over small models with an examination of their own."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from mergegraph import evaluator, hookimpl
from mergegraph.evolve.command import prepare_search, search
from mergegraph.evolve.display import SearchDisplay
from mergegraph.evolve.options import Options
from mergegraph.evolve.space import read_space
from mergegraph.library import library_of
from mergegraph.plugins import collect, installed_plugins
from mergegraph.settings import Settings

WANTED = 3.0


class Counter:
    """Which models were examined, and at how many all ends."""

    class Stopped(BaseException):
        """An end here and now."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.last = 10**6


@pytest.fixture
def counter():
    return Counter()


@pytest.fixture
def plugins(counter):
    @evaluator(splits=("some", "others"), main="near", lower_is_better=("far",))
    def near(model, data):
        """How near the first entry is to what is wanted."""
        counter.seen.append(model.name)
        if len(counter.seen) >= counter.last:
            raise counter.Stopped
        first = float(model.tensors["w"].flatten()[0])
        last = float(model.tensors["w"].flatten()[-1])
        return {"near": -abs(first - WANTED), "far": abs(last)}

    own = collect([("own 1.0", SimpleNamespace(evaluators=hookimpl(lambda: [near])))])
    return replace(
        installed_plugins(), evaluators=own.evaluators, evaluator_packages=own.evaluator_packages
    )


@pytest.fixture
def space():
    known = installed_plugins()

    def read(text, file="r.yaml"):
        return read_space(file, text, library_of(known))

    return read


@pytest.fixture
def evolve(tmp_path, plugins):
    """Search a recipe's text, in the folder `out`."""

    def run(text, *, out="out", quiet=True, **options):
        recipe = tmp_path / "r.yaml"
        recipe.write_text(text)
        settings = Settings(memory="64MiB", threads=1)
        told = {"evaluator": "near", "trials": 20, "plugins": plugins, **options}
        how = {name: told.pop(name) for name in ("parallel", "restart", "plugins") if name in told}
        asked = Options(**told)
        prepared = prepare_search(recipe, tmp_path / out, asked, settings=settings, **how)
        return prepared, search(prepared, SearchDisplay(prepared.request, quiet=quiet))

    return run
