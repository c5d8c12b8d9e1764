"""The conformance check catches every kind of op and method that does not keep its word."""

import json
import random
from threading import current_thread, main_thread
from typing import Annotated

import numpy as np
import pytest
import torch

from mergegraph import Between, MergeGraphError, PerModel, Spec, method, op
from mergegraph.files.checkpoint import checkpoint_of
from mergegraph.files.trees import LocalTree
from mergegraph.ops import average, combine, delta, gram, scale, stack
from mergegraph.ops.arithmetic import cast
from mergegraph.testing import (
    ConformanceError,
    check_method,
    check_op,
    constant,
    evaluate,
    small,
    tiny_checkpoint,
    tiny_family,
)

# -- tiny checkpoints ------------------------------------------------------------------------


def opened(root):
    return checkpoint_of(str(root), LocalTree(root, str(root)))


def test_tiny_checkpoint_is_a_sound_llama(tmp_path):
    found = opened(tiny_checkpoint(tmp_path / "tiny", layers=3, hidden=8))
    assert found.config["num_hidden_layers"] == 3
    assert found.entries["model.layers.2.mlp.down_proj.weight"].spec == Spec((8, 16), "bfloat16")
    assert "tokenizer.json" in found.side_files


def test_tiny_tokenizer_can_be_read(tmp_path):
    from tokenizers import Tokenizer

    path = tiny_checkpoint(tmp_path, vocabulary=10) / "tokenizer.json"
    assert Tokenizer.from_file(str(path)).encode("w0 w6 other").ids == [3, 9, 0]


def test_equal_arguments_give_equal_checkpoints(tmp_path):
    one, two, other = (tiny_checkpoint(tmp_path / str(i), seed=i // 2) for i in range(3))
    weights = [(each / "model.safetensors").read_bytes() for each in (one, two, other)]
    assert weights[0] == weights[1] != weights[2]


def test_tied_checkpoint_has_no_head(tmp_path):
    found = opened(tiny_checkpoint(tmp_path, is_tied=True))
    assert "lm_head.weight" not in found.entries


def test_family_stays_close_to_its_base(tmp_path):
    base, *tuned = (weights_of(path) for path in tiny_family(tmp_path, 3, dtype="float32"))
    assert len(tuned) == 3
    for each in tuned:
        changes = torch.cat([(each[name] - base[name]).flatten() for name in base])
        assert 0 < changes.std() < 0.01


def test_base_of_a_family_is_the_checkpoint_of_its_seed(tmp_path):
    base, *_ = tiny_family(tmp_path / "family", 1, seed=7, layers=1)
    alone = tiny_checkpoint(tmp_path / "alone", seed=7, layers=1)
    assert json.loads((base / "config.json").read_text())["num_hidden_layers"] == 1
    assert (base / "model.safetensors").read_bytes() == (alone / "model.safetensors").read_bytes()


def weights_of(path):
    from safetensors.torch import load_file

    return load_file(path / "model.safetensors")


# -- evaluation ------------------------------------------------------------------------------


def test_task_of_a_tensor_has_its_value():
    tensor = torch.arange(12.0).reshape(3, 4)
    assert torch.equal(evaluate(constant(tensor)), tensor)


def test_equal_tensors_give_equal_tasks():
    assert constant(torch.ones(2)) == constant(torch.ones(2)) != constant(torch.ones(2, 1))


def test_constants_do_not_change_with_their_tensors():
    tensor = torch.zeros(3)
    task = constant(tensor)
    tensor.add_(1)
    assert evaluate(task).tolist() == [0, 0, 0]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64, torch.bool, torch.uint8])
def test_constants_may_be_of_any_dtype(dtype):
    assert evaluate(constant(torch.tensor([0, 1]).to(dtype))).dtype == dtype


def test_fold_can_be_evaluated():
    vectors = [constant(torch.full((3, 5), float(each))) for each in (1, 2)]
    assert evaluate(gram(*vectors)).tolist() == [[15, 30], [30, 60]]


def test_budget_holds_for_evaluation():
    with pytest.raises(MergeGraphError, match="memory"):
        evaluate(scale(constant(torch.ones(100)), factor=2.0), budget=10)


# -- ops that keep their word ----------------------------------------------------------------


def test_good_ops_pass():
    check_op(delta)
    check_op(average, weights=(1.0, 2.0, 3.0))
    check_op(gram)
    check_op(stack, dim=1)


def test_small_inputs_are_handed_whole():
    coefficients = small(torch.tensor([0.25, 0.75], dtype=torch.float64))
    check_op(combine, torch.ones(4, 5), torch.zeros(4, 5), coefficients)


# -- ops that do not -------------------------------------------------------------------------


@op(cut="pointwise")
def writing(tensor):
    return tensor.add_(1)


@op(cut="fold", infer=lambda _tensor: Spec((1,), "float64"))
def writing_fold(tensor):
    tensor[0] = 0
    return tensor.double().sum().reshape(1)


CALLS = []


@op(cut="pointwise")
def counting(tensor):
    CALLS.append(1)
    return tensor * len(CALLS)


@op(cut="pointwise")
def drawing(tensor):
    return tensor + torch.rand_like(tensor)


@op(cut="pointwise")
def drawing_numpy(tensor):
    return tensor + torch.from_numpy(np.random.rand(tensor.numel())).float()


@op(cut="pointwise")
def drawing_python(tensor):
    return tensor * random.random()


@op(cut="pointwise")
def seeding_all(tensor):
    torch.manual_seed(0)
    return tensor + torch.rand_like(tensor)


@op(cut="pointwise")
def drawing_unseeded(tensor):
    return tensor + float(np.random.default_rng().random())


BUFFER = torch.zeros(10_000)


@op(cut="pointwise")
def buffered(tensor):
    return torch.mul(tensor, 2, out=BUFFER[: tensor.numel()])


@op(cut="pointwise")
def smoothed(tensor):
    return tensor + tensor.roll(1)


@op(cut="pointwise")
def centered(tensor):
    return tensor - tensor.mean()


@op(cut="pointwise")
def pairing(tensor):
    """Looks at its neighbour only where that is on the same strip."""
    return torch.cat([tensor[:1], torch.maximum(tensor[1:], tensor[:-1])])


@op(cut="pointwise")
def by_length(tensor):
    return tensor / tensor.numel()


@op(cut="pointwise")
def by_index(tensor):
    return tensor * torch.arange(tensor.numel())


@op(cut="pointwise")
def shrinking_strips(tensor):
    return tensor if tensor.numel() > 10 else tensor[:-1]


@op(cut="rowwise")
def mixing_rows(rows):
    return rows - rows.mean(0, keepdim=True)


@op(cut="rowwise")
def by_rows_on_hand(rows):
    return rows / len(rows)


@op(cut="fold", infer=lambda _tensor: Spec((1,), "float64"))
def averaged_fold(tensor):
    return tensor.double().mean().reshape(1)


@op(cut="fold", infer=lambda _tensor: Spec((1,), "float32"))
def coarse_fold(tensor):
    return tensor.square().sum().reshape(1)


@op(
    cut="fold",
    combine=lambda first, _second: first,
    infer=lambda _tensor: Spec((1,), "float64"),
)
def forgetting_fold(tensor):
    return tensor.double().abs().amax().reshape(1)


@op(cut="fold", combine=lambda a, b: torch.cat([a, b]), infer=lambda _tensor: Spec((1,), "float64"))
def growing_fold(tensor):
    return tensor.double().sum().reshape(1)


@op(cut="fold", infer=lambda _tensor: Spec((1,), "float32"))
def viewing_fold(tensor):
    return tensor[:1]


@op
def viewing(tensor):
    return tensor.T if tensor.ndim == 2 else tensor


@op
def transposing(tensor):
    return tensor.T.clone() if tensor.ndim == 2 else tensor.clone()


@op(cut="pointwise")
def doubling(tensor):
    return tensor.double()


@op(cut="pointwise")
def repeating(tensor):
    return torch.cat([tensor, tensor])


@op
def counted(tensor):
    return tensor.numel()


@op(cut="scan", infer=lambda _tensor: Spec((1,), "float64"))
def inexact_scan(tensor):
    return (tensor.double() / 3).sum().reshape(1)


@op(cut="pointwise", fast=lambda: lambda tensor: tensor * 1.0000001)
def otherwise_fast(tensor):
    return tensor.clone()


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (writing, "writing: writes to its input 1"),
        (writing_fold, "writes to its input 1"),
        (counting, "different results for the same input"),
        (drawing, "draws from a global random generator"),
        (drawing_numpy, "draws from a global random generator"),
        (drawing_python, "draws from a global random generator"),
        (seeding_all, "draws from a global random generator"),
        (drawing_unseeded, "different results for the same input"),
        (buffered, "gives the same memory at every call"),
        (smoothed, "said to be pointwise, but entry 0 is .* on a strip and .* on the whole"),
        (centered, "said to be pointwise"),
        (pairing, "said to be pointwise, but entry 1"),
        (by_length, "said to be pointwise"),
        (by_index, "said to be pointwise"),
        (shrinking_strips, "gave 0 entries for a strip of 1"),
        (mixing_rows, "said to be rowwise"),
        (by_rows_on_hand, "said to be rowwise"),
        (averaged_fold, "said to be a fold, but its strips combined are .* off the whole"),
        (coarse_fold, "accumulate in float64"),
        (forgetting_fold, "said to be a fold"),
        (growing_fold, r"gave float64\[6\] where infer says float64\[1\]"),
        (viewing_fold, "gives a view of its input 1"),
        (viewing, "gives a view of its input 1"),
        (transposing, r"gave float32\[20, 12\] where infer says float32\[12, 20\]"),
        (doubling, r"gave float64\[240\] where infer says float32\[12, 20\]"),
        (repeating, r"gave float32\[480\]"),
        (counted, "gave int, not a tensor"),
        (otherwise_fast, "its fast kernel gives other bits than the plain one"),
        (inexact_scan, "said to be a scan, but its strips combined are not just the whole"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.kernel.__name__,
)
def test_bad_op_is_caught(bad, told):
    with pytest.raises(ConformanceError, match=told):
        check_op(bad)


def test_check_leaves_global_generators_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    with pytest.raises(ConformanceError):
        check_op(drawing)
    assert torch.equal(torch.get_rng_state(), before)


def test_infer_that_lies_about_the_dtype_is_caught():
    @op(cut="pointwise", infer=lambda tensor: tensor.with_dtype("bfloat16"))
    def lying(tensor):
        return tensor * 2

    with pytest.raises(ConformanceError, match=r"gave float32\[6\] where infer says bfloat16"):
        check_op(lying, torch.ones(6))


# -- methods ---------------------------------------------------------------------------------


def test_method_with_everything_passes():
    @method
    def full(
        models,
        base=None,
        *,
        weight: PerModel[float],
        mode: str = "a",
        steps: int = 1,
        flag: bool = False,
        seeds: PerModel[int],
    ):
        return average(*models, weights=weight)

    check_method(full)


def test_given_values_are_used():
    told = []

    @method
    def telling(models, *, weight: PerModel[float], lambda_: float, top: float = 1.0):
        told.append((tuple(weight), lambda_, top))
        return average(*models, weights=weight)

    check_method(telling, models=2, weight=[1.0, 3.0], lambda_=0.25)
    assert set(told) == {((1.0, 3.0), 0.25, 1.0), ((1.0, 3.0), 0.25, 0.5)}


def test_required_numbers_are_from_the_middle_of_their_range():
    AtLeast = Annotated[float, Between(7)]  # noqa: N806
    told = set()

    @method
    def telling(models, *, near: Annotated[float, Between(2, 4)], steps: int, above: AtLeast):
        told.add((near, steps, above))
        return models[0]

    check_method(telling, models=1)
    assert told == {(3.0, 1, 7.5)}


def test_value_of_an_unknown_parameter_is_an_error():
    @method
    def plain(models, *, weight: float = 1.0):
        return models[0]

    with pytest.raises(TypeError, match="plain has no wieght; did you mean 'weight'"):
        check_method(plain, wieght=1.0)


def test_refused_inputs_are_passed_over():
    @method
    def pair(models):
        if len(models) != 2:
            raise MergeGraphError("takes two models")
        return average(*models, weights=(1.0, 1.0))

    check_method(pair)


def failing(models):
    raise MergeGraphError("takes four models")


def wordy(models):
    return "merged"


def flat(models):
    return gram(*models)


def doubled(models):
    return cast(models[0], "float64")


CHANGING = []


def changing(models):
    CHANGING.append(1)
    return scale(models[0], factor=float(len(CHANGING)))


def out_of_range(models, *, share: float = 1.4):
    return models[0]


def made_of_bad_ops(models):
    return scale(centered(models[0]), factor=2.0)


@op(cut="pointwise")
def thread_bound(tensor):
    return tensor * (2 if current_thread() is main_thread() else 3)


def threaded(models):
    return thread_bound(models[0])


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (failing, "failing: refuses all that it is tried with: takes four models"),
        (wordy, "wordy: gave str, not a task"),
        (flat, r"flat: gave float64\[3, 3\] of models that are float32\[23, 40\]"),
        (doubled, r"gave float64\[23, 40\] of models that are float32"),
        (changing, "gives another task for the same input"),
        (made_of_bad_ops, "centered: is said to be pointwise"),
        (threaded, "gives another result in a merge than its ops do"),
    ],
)
def test_bad_method_is_caught(function, told):
    with pytest.raises(ConformanceError, match=told):
        check_method(method(function))


def test_default_out_of_range_is_caught():
    @method
    def wide(models, *, density: Annotated[float, Between(0, 1)] = 1.4):
        return models[0]

    with pytest.raises(ConformanceError, match=r"default of density, 1.4, is not between 0 and 1"):
        check_method(wide)


def test_bad_op_behind_an_option_is_caught():
    @method
    def optional(models, *, center: bool = False):
        return centered(models[0]) if center else models[0]

    with pytest.raises(ConformanceError, match="centered"):
        check_method(optional)


def test_function_without_decorator_is_caught():
    with pytest.raises(ConformanceError, match="not made with @method"):
        check_method(wordy)


def test_parameter_of_unknown_kind_is_refused_when_the_method_is_made():
    with pytest.raises(MergeGraphError, match=r"parameter shape: .* not a kind that recipes"):

        @method
        def odd(models, *, shape: list[int]):
            return models[0]


def test_method_may_give_an_input_as_it_is():
    @method
    def first(models):
        return models[0]

    check_method(first)
