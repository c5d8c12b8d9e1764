"""NaN, infinity and overflow: in inputs, on the way, and in what is written."""

from __future__ import annotations

import re

import pytest
import torch
from safetensors.torch import load_file

import mergegraph
from mergegraph.errors import MergeGraphError, RunError

NAN, INF = float("nan"), float("inf")


@pytest.fixture
def merged(checkpoint, tmp_path):
    """A result and its warnings: `merged("linear", "out_dtype: float16", a=[1], b=[2])`."""

    def run(method, more="", *, base=None, parameters="{weight: 1}", **models):
        folders = {**({"base": base} if base is not None else {}), **models}
        for name, w in folders.items():
            checkpoint(name, w if isinstance(w, dict) else {"layers.0.w": w})
        listed = "".join(f"- model: {tmp_path}/{name}\n" for name in models)
        named = f"base_model: {tmp_path}/base\n" if base is not None else ""
        text = f"merge_method: {method}\n{named}models:\n{listed}"
        text += f"parameters: {parameters}\n{more}\n"
        (tmp_path / "recipe.yaml").write_text(text)
        summary = mergegraph.run(tmp_path / "recipe.yaml", out=tmp_path / "out")
        found = load_file(tmp_path / "out" / "model.safetensors")
        return found, [each.replace(f"{tmp_path}/", "") for each in summary.warnings]

    return run


def refusal(merged, tmp_path, *given, **models):
    """What a run that fails says; it leaves no result."""
    with pytest.raises(RunError) as failed:
        merged(*given, **models)
    assert not (tmp_path / "out").exists()
    return str(failed.value).replace(f"{tmp_path}/", "")


def test_overflow_of_float16_is_refused_with_its_remedy(merged, tmp_path):
    told = refusal(merged, tmp_path, "linear", "out_dtype: float16", a=[[1e5, -7e4, 65504.0]])
    assert told == (
        "out: layers.0.w came to be NaN or infinite in float16, whose largest number is 65504 "
        "(2 of them); store it as bfloat16 or float32 (out_dtype), or set "
        "on_nonfinite to propagate"
    )


@pytest.mark.parametrize("policy", ["raise", "base"])
def test_bfloat16_overflows_where_float32_ends(merged, tmp_path, policy):
    more = f"out_dtype: bfloat16\non_nonfinite: {policy}"
    told = refusal(merged, tmp_path, "linear", more, a=[[3.4e38, 1.0]], b=[[3.4e38, 1.0]])
    assert "in bfloat16, whose largest number is 3.4e38 (1 of them); store it as float32" in told


def test_plain_float8_overflows_to_its_largest_number_and_it_is_told(merged, tmp_path):
    """Torch writes 448 where there is more; 450 is nearest to it anyway."""
    weights = torch.tensor([[448.0, 1.0]]).to(torch.float8_e4m3fn)
    a = {"w": weights}
    more, parameters = "on_nonfinite: propagate", "{weight: 2, normalize: false}"
    told = refusal(merged, tmp_path, "linear", parameters=parameters, a=a)
    assert (
        "out: w came to be NaN or beyond float8_e4m3fn, whose largest number is 448 (1 of" in told
    )
    found, warned = merged("linear", more, parameters=parameters, b=a)
    assert found["w"].float().tolist() == [[448.0, 2.0]]
    assert warned == ["out: came to be NaN, or 448 in place of more, in float8_e4m3fn: w (1)"]


def test_overflow_that_goes_on_is_told(merged):
    more = "out_dtype: float16\non_nonfinite: propagate"
    found, told = merged("linear", more, a=[[1e5, 1.0]])
    assert found["layers.0.w"].tolist() == [[INF, 1.0]]
    assert told == ["out: came to be NaN or infinite in float16: layers.0.w (1)"]


def test_what_fails_in_float32_is_not_blamed_on_float16(merged, tmp_path):
    """Sums of finite numbers may be beyond float32."""
    more = "out_dtype: float16\n"
    told = refusal(merged, tmp_path, "task_arithmetic", more, base=[[-3e38]], a=[[3e38]])
    assert "came to be NaN or infinite (1 of them); set on_nonfinite to propagate" in told


METHODS = {
    "linear": "ab",
    "task_arithmetic": ("base", "a", "b"),
    "ties": ("base", "a", "b"),
    "dare_ties": ("base", "a", "b"),
    "slerp": ("base", "a"),
}
BLAMED = [(method, broken) for method, names in METHODS.items() for broken in names]


@pytest.mark.parametrize(("method", "broken"), BLAMED)
def test_the_input_that_is_to_blame_is_named(merged, tmp_path, method, broken):
    """Whether it was looked at in itself or only in the result."""
    models = {name: [[1.0, 2.0, i, 4.0]] for i, name in enumerate(METHODS[method])}
    models[broken] = [[1.0, NAN, INF, 4.0]]
    parameters = "{t: 0.5}" if method == "slerp" else "{weight: 1}"
    told = refusal(merged, tmp_path, method, "out_dtype: float16", parameters=parameters, **models)
    assert told.startswith(f"{broken}: layers.0.w has NaN or infinite entries (2 of them); set")


def test_only_results_are_looked_at_where_they_show_all(checkpoint, tmp_path):
    """A sum is not finite where a part is not; what is pruned may lose it."""
    for name in ("base", "a", "b"):
        checkpoint(name, w=[[1.0, 2.0]])
    counted = {}
    for method in ("linear", "task_arithmetic", "ties"):
        named = f"base_model: {tmp_path}/base\n" if method != "linear" else ""
        models = f"models: [{{model: {tmp_path}/a}}, {{model: {tmp_path}/b}}]\n"
        density = ", density: 0.5" if method == "ties" else ""
        recipe = tmp_path / f"{method}.yaml"
        recipe.write_text(
            f"merge_method: {method}\n{named}{models}parameters: {{weight: 1{density}}}\n"
        )
        plan = mergegraph.plan(recipe, out=tmp_path / "out").plan
        counted[method] = sum(task.op.name.endswith("count_nonfinite") for task in plan.tasks)
    assert counted == {"linear": 1, "task_arithmetic": 1, "ties": 3}


def test_the_base_fills_in_and_it_is_told(merged):
    found, told = merged(
        "task_arithmetic", "on_nonfinite: base", base=[[1.0, 2.0, 3.0]], a=[[5.0, NAN, -INF]]
    )
    assert found["layers.0.w"].tolist() == [[5.0, 2.0, 3.0]]
    assert told == ["a: NaN or infinite entries, replaced by the base: layers.0.w (2)"]


def test_where_the_base_has_no_number_the_models_agree_on_one(merged):
    """One that has none either keeps what the others have: it changes nothing."""
    found, told = merged(
        "task_arithmetic", "on_nonfinite: base", base=[[NAN, 1.0]], a=[[NAN, 1.0]], b=[[5.0, 1.0]]
    )
    assert found["layers.0.w"].tolist() == [[5.0, 1.0]]
    assert "base: NaN or infinite entries, replaced by the mean of the models" in told[1]


@pytest.mark.parametrize("method", ["linear", "task_arithmetic", "ties"])
def test_what_nobody_has_a_number_for_is_refused(merged, tmp_path, method):
    base = None if method == "linear" else [[NAN, 1.0]]
    told = refusal(
        merged, tmp_path, method, "on_nonfinite: base", base=base, a=[[NAN, 1.0]], b=[[INF, 1.0]]
    )
    assert "layers.0.w: has entries that no model has a number for (1 of them)" in told


@pytest.mark.parametrize("policy", ["raise", "base"])
def test_copies_are_results_too(merged, tmp_path, policy):
    """A tensor that only the base has is copied."""
    base = {"layers.0.w": [[1.0]], "odd": [[NAN, 1.0]]}
    more = f"on_missing: base\non_nonfinite: {policy}"
    told = refusal(merged, tmp_path, "task_arithmetic", more, base=base, a=[[1.0]])
    assert "out: odd came to be NaN or infinite in float32 (1 of them)" in told


def test_copies_that_go_on_are_told(merged):
    base = {"layers.0.w": [[1.0]], "odd": [[NAN, 1.0]]}
    more = "on_missing: base\non_nonfinite: propagate"
    _, told = merged("task_arithmetic", more, base=base, a=[[1.0]])
    assert told == ["out: came to be NaN or infinite in float32: odd (1)"]


def test_stages_are_looked_at_in_the_dtype_they_are_rounded_to(checkpoint, tmp_path):
    """A vote may lose what a stage has spoilt, so that the result would not show it."""
    checkpoint("a", {"layers.0.w": [[1e5, 1.0, 2.0]]})
    checkpoint("base", {"layers.0.w": [[1.0, 1.0, 1.0]]})
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"name: first\nmerge_method: linear\nmodels: [{{model: {tmp_path}/a}}]\n"
        "parameters: {weight: 1}\nout_dtype: float16\n---\nmerge_method: ties\n"
        f"base_model: {tmp_path}/base\nmodels: [{{model: first}}]\n"
        "parameters: {weight: 1, density: 0.5}\n"
    )
    with pytest.raises(RunError, match=r"^first: layers\.0\.w came to be NaN or infinite \(1 of"):
        mergegraph.run(recipe, out=tmp_path / "out")


def test_float64_beyond_float32_is_told_as_what_it_is(merged, tmp_path):
    wide = torch.tensor([[1e300, 1.0]], dtype=torch.float64)
    told = refusal(merged, tmp_path, "linear", a={"w": wide})
    assert "a: w has NaN, infinite or too large entries (1 of them)" in told


def test_small_and_negative_zeros_are_numbers(merged):
    odd = [[-0.0, 1e-42, -1e-45, 3.4e38]]
    found, told = merged("linear", a=odd)
    assert found["layers.0.w"].tolist() == torch.tensor(odd).tolist()
    assert told == []


def test_all_of_a_tensor_may_be_broken(merged, tmp_path):
    told = refusal(merged, tmp_path, "ties", base=[[1.0] * 8], a=[[NAN] * 8], b=[[1.0] * 8])
    assert "a: layers.0.w has NaN or infinite entries (8 of them)" in told


def test_two_recipes_of_two_minds_both_have_their_way(checkpoint, tmp_path):
    """The same count is a warning for the one, and the end for the other."""
    checkpoint("a", w=[[NAN, 1.0]])
    recipes = []
    for name, policy in (("strict", "raise"), ("lax", "propagate")):
        recipes.append(tmp_path / f"{name}.yaml")
        recipes[-1].write_text(
            f"merge_method: linear\nmodels: [{{model: {tmp_path}/a}}]\n"
            f"parameters: {{weight: 1}}\non_nonfinite: {policy}\n"
        )
    for order in (recipes, recipes[::-1]):
        with pytest.raises(RunError, match="a: w has NaN or infinite entries"):
            mergegraph.run(*order, out=tmp_path / "out", restart=True)


def test_many_tensors_are_told_in_one_sentence(merged):
    broken = {f"layers.{i}.w": [[NAN] * (i + 1)] for i in range(6)}
    _, told = merged("linear", "on_nonfinite: propagate", a=broken)
    assert told[0] == (
        "a: NaN or infinite entries: layers.0.w (1), layers.1.w (2), layers.2.w (3) "
        "and 3 more tensors"
    )


# -- what plans note ------------------------------------------------------------------------------


def notes(tmp_path, text):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(re.sub(r"\b([ab])\b", rf"{tmp_path}/\1", text))
    found = mergegraph.plan(recipe, out=tmp_path / "out").notes
    return " ".join(found).replace(f"{tmp_path}/", "")


PLANS = {
    "models: [{model: a}, {model: b}]\nparameters: {weight: 1}": "",
    "models: [{model: a}, {model: a}]\nparameters: {weight: 1}": "a is there twice; they count",
    "models: [{model: a, parameters: {weight: 1}}, {model: b, parameters: {weight: -0.95}}]": (
        "the weights cancel but for 0.05, and are divided by it: every model counts 20 times"
    ),
    "models: [{model: a, parameters: {weight: [1, 1]}}, {model: b, parameters: {weight: [1, -0.99]"
    "}}]": "every model counts 100 times",
}


@pytest.mark.parametrize("text", PLANS)
def test_plans_note_what_may_not_be_meant(text, checkpoint, tmp_path):
    for i, name in enumerate("ab"):
        checkpoint(name, {"layers.0.w": [[1.0 + i]], "layers.1.w": [[2.0 + i]]})
    found = notes(tmp_path, f"merge_method: linear\n{text}\n")
    is_noted = "twice" in found or "cancel" in found
    assert (PLANS[text] in found) if PLANS[text] else not is_noted


def test_weights_of_which_nothing_but_rounding_is_left_are_refused(checkpoint, tmp_path):
    checkpoint("a", w=[[1.0]])
    checkpoint("b", w=[[2.0]])
    weights = "{model: a, parameters: {weight: 1}}, {model: b, parameters: {weight: -0.9999999}}"
    with pytest.raises(MergeGraphError, match="add up to 0, or nearly"):
        notes(tmp_path, f"merge_method: linear\nmodels: [{weights}]\n")


def test_a_link_to_a_model_is_that_model(checkpoint, tmp_path):
    (tmp_path / "b").symlink_to(checkpoint("a", w=[[1.0]]))
    found = notes(
        tmp_path, "merge_method: linear\nmodels: [{model: a}, {model: b}]\nparameters: {weight: 1}"
    )
    assert "a is there twice" in found
    (tmp_path / "b").unlink()
