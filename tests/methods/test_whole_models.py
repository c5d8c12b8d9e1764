"""What is the same for all methods that look at models as a whole."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mergegraph_methods.consensus import consensus
from mergegraph_methods.emr import emr
from mergegraph_methods.lines import lines
from mergegraph_methods.pcb import pcb
from mergegraph_methods.ramplus_tl import ramplus_tl
from mergegraph_methods.ties import ties

import mergegraph
from mergegraph import MergeGraphError, Request, method
from mergegraph.explaining import tensor_text

CASES = [
    (ties, {"scope": "global", "density": 0.3, "tie": "majority"}),
    (ramplus_tl, {"scope": "global"}),
    (emr, {"task": 1}),
    (consensus, {}),
    (lines, {"merged": [True, False, False]}),
    (pcb, {"ratio": 0.2}),
]
each_case = pytest.mark.parametrize(("method", "values"), CASES, ids=lambda each: str(each)[:40])


def family(seed: int = 0) -> tuple[dict, dict]:
    """A model of several layers in bfloat16, so that many entries are equal, and three others."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {"embed": (40, 8), **{f"layers.{i}.w": (300, 500) for i in range(3)}, "norm": (8,)}
    base = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    models = {
        key: {
            name: (each + 0.1 * torch.randn(each.shape, generator=generator)).bfloat16().float()
            for name, each in base.items()
        }
        for key in "abc"
    }
    return base, models


@each_case
def test_memory_and_threads_change_no_bit(method, values):
    base, models = family()
    given = {"base": base, "method": method.name, **values}
    given |= {"weight": 1.0} if "weight" in method.parameters else {}
    found = [
        mergegraph.merge(models, memory=memory, threads=threads, **given)
        for memory, threads in (("1GiB", 1), ("1GiB", 3), ("48MiB", 2))
    ]
    for other in found[1:]:
        assert all(torch.equal(found[0][name], other[name]) for name in base)


@each_case
@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_models_equal_to_the_base_give_the_base(
    method, values, data, draw_model_family, merge_model
):
    base, _ = draw_model_family(data)
    found = merge_model(method, base, [base] * 3, **values)
    assert all(torch.equal(one, other) for one, other in zip(found, base, strict=True))


@each_case
def test_the_order_of_tensors_matters_only_to_equal_entries(method, values, merge_model):
    generator = torch.Generator().manual_seed(1)
    shapes = ((3, 4), (7,), (2, 2, 2))
    base = [torch.zeros(shape) for shape in shapes]
    models = [[torch.randn(shape, generator=generator) for shape in shapes] for _ in range(3)]
    found = merge_model(method, base, models, **values)
    turned = merge_model(method, base[::-1], [each[::-1] for each in models], **values)
    for one, other in zip(found, turned[::-1], strict=True):
        torch.testing.assert_close(one, other)


def test_a_survey_of_some_tensors_only_is_refused():
    @method(survey=lambda requests: [()] * (len(requests) + 1))
    def strange(models, *, survey):
        return models[0]

    with pytest.raises(MergeGraphError, match="values for 3 of 2 tensors"):
        strange.surveyed([Request(None, [], {})] * 2)


def test_values_that_differ_from_tensor_to_tensor_are_refused(checkpoint, tmp_path):
    paths = [str(checkpoint(name, w=[1.0, 2.0], v=[3.0])) for name in ("base", "one", "two")]
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"""
merge_method: ties
base_model: {paths[0]}
models: [{{model: {paths[1]}}}, {{model: {paths[2]}}}]
parameters:
  weight: 1
  scope: global
  density: [{{filter: w, value: 0.5}}, {{value: 0.2}}]
"""
    )
    with pytest.raises(MergeGraphError, match="density differs from tensor to tensor"):
        mergegraph.plan(recipe)


def test_tensors_that_some_models_lack_are_refused(checkpoint, tmp_path):
    base = checkpoint("base", w=[1.0], v=[3.0])
    full, lacking = checkpoint("full", w=[1.5], v=[3.0]), checkpoint("lacking", w=[1.0])
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"""
merge_method: pcb
base_model: {base}
models: [{{model: {full}}}, {{model: {lacking}}}]
on_missing: skip
"""
    )
    with pytest.raises(MergeGraphError, match="pcb: looks at models as a whole"):
        mergegraph.plan(recipe)


def test_the_formula_of_a_tensor_does_not_spell_out_the_whole_model():
    root = Path(__file__).parents[2]
    prepared = mergegraph.plan(root / "recipes" / "ties-global.yaml")
    told = tensor_text(prepared.plan, prepared.schedule, "model.norm.weight")
    assert "= row(...)  of 57 tensors together" in told
    assert len(told.splitlines()) < 60
    others = 56  # passes that write the other tensors
    assert f"passes: {len(list(prepared.schedule.passes)) - others}, " in told
