"""Merging models in memory."""

from __future__ import annotations

import pytest
import torch

import mergegraph
from mergegraph import MergeGraphError
from mergegraph.errors import RunError


def state(seed, dtype=torch.float32):
    random = torch.Generator().manual_seed(seed)
    shapes = {"layers.0.w": (4, 6), "layers.1.w": (4, 6), "bias": (6,)}
    return {name: torch.randn(shape, generator=random).to(dtype) for name, shape in shapes.items()}


A, B, BASE = state(1), state(2), state(0)


def test_state_dicts_go_in_and_a_state_dict_comes_out():
    merged = mergegraph.merge({"a": A, "b": B}, method="linear", weight=[1, 3])
    assert all(torch.allclose(merged[name], (A[name] + 3 * B[name]) / 4) for name in A)


def test_a_parameter_of_models_is_one_value_a_list_or_a_mapping():
    one, listed, mapped = (
        mergegraph.merge({"a": A, "b": B}, base=BASE, method="ties", weight=weight, density=0.5)
        for weight in (0.5, [0.5, 0.5], {"b": 0.5, "a": 0.5})
    )
    assert all(torch.equal(one[n], listed[n]) and torch.equal(one[n], mapped[n]) for n in A)


def test_lambda_is_spelled_with_an_underscore():
    merged = mergegraph.merge({"a": A}, base=BASE, method="task_arithmetic", weight=1, lambda_=0.0)
    assert all(torch.equal(merged[name], BASE[name]) for name in BASE)


def test_modules_go_in_and_stay_as_they_are():
    first, second = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    before = first.weight.clone()
    merged = mergegraph.merge({"a": first, "b": second}, method="linear", weight=1)
    assert torch.allclose(merged["weight"], (first.weight + second.weight) / 2)
    assert torch.equal(first.weight, before)
    first.load_state_dict(merged)


def test_the_result_has_the_dtype_of_the_inputs_or_the_one_asked_for():
    halves = {"a": state(1, torch.bfloat16), "b": state(2, torch.bfloat16)}
    assert mergegraph.merge(halves, method="linear", weight=1)["bias"].dtype == torch.bfloat16
    wide = mergegraph.merge(halves, method="linear", weight=1, dtype="float32")
    assert wide["bias"].dtype == torch.float32


def test_a_recipe_gives_the_same_as_a_merge_in_memory(checkpoint, tmp_path):
    from safetensors.torch import load_file

    for name, tensors in (("a", A), ("b", B), ("base", BASE)):
        checkpoint(name, tensors)
    (tmp_path / "r.yaml").write_text(
        f"{{merge_method: dare_ties, base_model: {tmp_path}/base, "
        f"models: [{{model: {tmp_path}/a}}, {{model: {tmp_path}/b}}], "
        "parameters: {weight: 1, density: 0.5}}"
    )
    mergegraph.run(tmp_path / "r.yaml", out=tmp_path / "out")
    written = load_file(tmp_path / "out" / "model.safetensors")
    merged = mergegraph.merge(
        {"a": A, "b": B}, base=BASE, method="dare_ties", weight=1, density=0.5
    )
    assert all(torch.equal(merged[name], written[name]) for name in written)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"method": "tise"}, "did you mean 'ties'"),
        ({"method": "ties", "weight": 1}, "ties needs a base"),
        ({"method": "linear"}, "linear needs weight for a"),
        ({"method": "linear", "weight": [1]}, "weight: 1 values for 2 models"),
        ({"method": "linear", "weight": {"a": 1, "c": 2}}, "values for a, c; models are a, b"),
        ({"method": "linear", "weigth": 1}, "no parameter 'weigth'; did you mean 'weight'"),
        ({"method": "linear", "weight": 1, "dtype": "int3"}, "dtype 'int3' is not one of float32"),
        ({"method": "linear", "weight": 1, "threads": 0}, "threads 0 is not at least 1"),
        ({"method": "linear", "weight": 1, "on_missing": "shrug"}, "'shrug' is not one of error"),
    ],
)
def test_what_does_not_fit_is_told(given, told):
    with pytest.raises(MergeGraphError, match=told):
        mergegraph.merge({"a": A, "b": B}, **given)


def test_overflow_is_told():
    huge = {name: each * 1e6 for name, each in A.items()}
    with pytest.raises(RunError, match="NaN or infinite in float16"):
        mergegraph.merge({"a": huge}, method="linear", weight=1, dtype="float16")


def test_the_number_of_threads_of_torch_is_left_as_it_was():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    mergegraph.merge({"a": A}, method="linear", weight=1)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)
