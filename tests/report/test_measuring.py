"""Measuring: the numbers of a report are those of whole models at once, in double precision."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from mergegraph.kinship import reading
from mergegraph.plugins import installed_plugins
from mergegraph.recipe import read_recipe
from mergegraph.report.gathering import look
from mergegraph.report.measuring import measure, survey
from mergegraph.settings import Settings
from mergegraph.testing import tiny_family

TIES = """
name: inner
merge_method: {method}
base_model: models/base
models: [{{model: models/tuned-1}}, {{model: models/tuned-2}}]
parameters: {{weight: 1, density: 0.4}}
---
merge_method: task_arithmetic
base_model: models/base
models: [{{model: inner}}, {{model: models/tuned-3}}]
parameters: {{weight: 0.5}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("measured")
    tiny_family(root / "models", 3, layers=2, hidden=32, dtype="float32")
    return root


@pytest.fixture
def measured(folder, monkeypatch):
    monkeypatch.chdir(folder)

    def found(method="ties", **given):
        (folder / "r.yaml").write_text(TIES.format(method=method))
        plugins, settings = installed_plugins(), Settings(**{"threads": 2, **given})
        looked = look(read_recipe("r.yaml", plugins.methods, ()), plugins, settings)
        family = {name: each for name, each in looked.inputs.items() if name != looked.base}
        return measure(survey(looked, family, looked.shelf.model("models/base"), settings))

    return found


def deltas(folder):
    models = [
        load_file(folder / "models" / n / "model.safetensors")
        for n in ("base", "tuned-1", "tuned-2", "tuned-3")
    ]
    base, *others = [{k: v.double() for k, v in each.items()} for each in models]
    return base, [{k: each[k] - base[k] for k in base} for each in others]


def test_correlations_are_those_of_whole_models(measured, folder):
    _, changed = deltas(folder)
    flat = torch.stack([torch.cat([v.flatten() for v in each.values()]) for each in changed])
    found = measured().family
    near = {"atol": 1e-6, "rtol": 1e-6}
    pearson = torch.tensor(found.matrix()).double()
    torch.testing.assert_close(pearson, torch.corrcoef(flat), **near)
    lengths = torch.tensor(found.norms.changes).double()
    torch.testing.assert_close(lengths, flat.norm(dim=1), **near)


def test_conflicts_are_counted_entry_by_entry(measured, folder):
    _, (one, two, _) = deltas(folder)
    for each in measured().kept[0]:
        assert each.conflicts == int((one[each.name] * two[each.name] < 0).sum())
        assert each.contested == int(((one[each.name] != 0) & (two[each.name] != 0)).sum())


def test_what_pruning_by_magnitude_keeps_is_the_density(measured):
    for each in measured().kept[0]:
        assert each.pruned.keys() == {0, 1}
        for before, after in each.pruned.values():
            assert before <= each.numel
            assert after == max(1, int(0.4 * each.numel + 1e-9))


def test_a_stage_that_prunes_nothing_has_conflicts_alone(measured):
    kept = measured().kept[1]
    assert all(each.conflicts is not None and not each.pruned for each in kept)


@pytest.mark.parametrize("method", ["dare_ties", "della", "breadcrumbs"])
def test_every_way_of_pruning_is_found(measured, method):
    kept = [each for each in measured(method).kept[0] if each.numel > 64]
    assert all(each.pruned.keys() == {0, 1} for each in kept)
    assert all(0 < after < before for each in kept for before, after in each.pruned.values())


def test_numbers_do_not_depend_on_threads_and_budget(measured):
    one, other = measured(threads=1, memory="300MiB"), measured(threads=2, memory="2GiB")
    assert one.family == other.family
    assert one.kept == other.kept


def test_large_models_are_read_by_compiled_kernels(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(reading, "_WORTH_COMPILING_ALL", 0)
    monkeypatch.setattr(reading, "has_compiler", lambda: True)
    plugins, settings = installed_plugins(), Settings(threads=2, memory="512MiB")
    (folder / "r.yaml").write_text(TIES.format(method="ties"))
    looked = look(read_recipe("r.yaml", plugins.methods, ()), plugins, settings)
    base = looked.shelf.model("models/base")
    made = survey(looked, looked.inputs, base, settings)
    assert made.reading.is_compiled
