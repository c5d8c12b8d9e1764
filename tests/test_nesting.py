"""State dicts in what was saved: one is found, the rest is told."""

import pytest
import torch

from mergegraph import MergeGraphError
from mergegraph.files.nesting import state_in

W = {"w": torch.ones(1)}


@pytest.mark.parametrize("name", ["state_dict", "model", "model_state_dict", "module", "anything"])
def test_a_state_dict_is_found_by_what_it_is(name):
    found = state_in("a", {name: W, "epoch": 3, "args": {"lr": 1}})
    assert list(found.tensors) == ["w"]
    assert found.notes == (
        f"a: the state dict is its '{name}'",
        "a: not merged, not tensors of the state dict: epoch, args",
    )


def test_a_state_dict_that_is_there_twice_is_told():
    found = state_in("a", {"params": W, "params_ema": W, "step": 1})
    assert found.notes[1:] == (
        "a: the same state dict again: params_ema",
        "a: not merged, not tensors of the state dict: step",
    )


def test_a_state_dict_may_lie_deeper():
    found = state_in("a", {"checkpoint": {"net": W, "step": 1}})
    assert found.notes[0] == "a: the state dict is its 'checkpoint.net'"
    assert found.notes[1].endswith(": checkpoint.step")


def test_a_plain_state_dict_is_taken_without_a_word():
    assert state_in("a", W).notes == ()


def test_values_among_tensors_are_told():
    found = state_in("a", {**W, "_extra_state": None})
    assert found.notes == ("a: not merged, not tensors of the state dict: _extra_state",)


def test_the_state_of_an_optimizer_is_no_state_dict():
    state = {"state": {0: {"exp_avg": torch.ones(1)}}, "param_groups": [{"lr": 1}]}
    assert list(state_in("a", {"model": W, "optimizer": state}).tensors) == ["w"]


def test_a_number_kept_by_a_callback_is_no_state_dict():
    callback = {"best": torch.ones(1), "path": "x", "monitor": "loss"}
    assert list(state_in("a", {"state_dict": W, "callbacks": {"c": callback}}).tensors) == ["w"]


@pytest.mark.parametrize(
    ("saved", "fact"),
    [
        ({"params": W, "params_ema": dict(W)}, "several state dicts (params and params_ema)"),
        ({**W, "ema": W}, "several state dicts (ema and the whole)"),
        ({"epoch": 1}, "holds no state dict, tensors by name"),
        (torch.ones(1), "holds no state dict"),
        ([W], "holds no state dict"),
        ({0: torch.ones(1)}, "0 is not a tensor name"),
        ({"a\nb": torch.ones(1)}, "'a\\nb' is not a tensor name"),
    ],
)
def test_what_is_not_clear_is_refused(saved, fact):
    with pytest.raises(MergeGraphError) as caught:
        state_in("a", saved)
    assert fact in str(caught.value)


def test_a_mapping_inside_itself_comes_to_an_end():
    found = {f"k{i}": None for i in range(50)}
    found.update(dict.fromkeys(found, found))
    with pytest.raises(MergeGraphError, match="holds no state dict"):
        state_in("a", found)
