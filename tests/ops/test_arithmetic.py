"""Plain arithmetic, casts, and what is known of results before they are computed."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mergegraph import MergeGraphError
from mergegraph.ops import average, cast, combine, delta, elect, fuse, gram, scale, scale_by, stack
from mergegraph.ops.arithmetic import crop, extend, fill_nonfinite, load, reorder
from mergegraph.tasks import op

NAN = float("nan")


@op(small=True)
def numbers(tensor):
    """A few numbers, to be handed whole."""
    return tensor.clone()


@given(data=st.data(), step=st.integers(1, 20))
@settings(max_examples=60, deadline=None)
def test_an_average_is_a_weighted_mean(data, step, draw_family, task_of, whole, in_strips):
    _, models = draw_family(data)
    weights = data.draw(st.lists(st.floats(0.1, 3), min_size=len(models), max_size=len(models)))
    rows = torch.stack(models).double()
    wanted = torch.tensordot(torch.tensor(weights, dtype=torch.float64), rows, 1) / sum(weights)
    task = average(*map(task_of, models), weights=weights)
    torch.testing.assert_close(whole(task).double(), wanted, rtol=1e-5, atol=1e-6)
    assert torch.equal(whole(task), in_strips(task, step))


def test_an_unnormalized_average_is_a_sum(task_of, whole):
    pair = task_of([1.0, 2.0]), task_of([10.0, 20.0])
    assert whole(average(*pair, weights=(1.0, -0.5), normalize=False)).tolist() == [-4, -8]


def test_coefficients_can_be_computed(task_of, whole):
    coefficients = numbers(task_of(torch.tensor([2.0, -1.0], dtype=torch.float64)))
    task = combine(task_of([1.0, 2.0]), task_of([3.0, 5.0]), coefficients)
    assert whole(task).tolist() == [-1, -1]


def test_scaling(task_of, whole):
    tensor = task_of([1.0, -2.0])
    assert whole(scale(tensor, factor=-2.0)).tolist() == [-2, 4]
    assert whole(scale_by(tensor, numbers(task_of([3.0])))).tolist() == [3, -6]


def test_a_delta_is_model_minus_base(task_of, whole):
    assert whole(delta(task_of([3.0]), task_of([1.0]))).tolist() == [2]


@pytest.mark.parametrize(("dim", "shape"), [(0, (2, 3, 4)), (1, (3, 2, 4)), (2, (3, 4, 2))])
def test_stacking_adds_an_axis(dim, shape, task_of, whole):
    pair = torch.randn(3, 4), torch.randn(3, 4)
    task = stack(*map(task_of, pair), dim=dim)
    assert task.spec.shape == shape
    assert torch.equal(whole(task), torch.stack(pair, dim))


@pytest.mark.parametrize("step", [1, 4, 7, 12])
def test_cropping_and_extending_rows(step, task_of, in_strips):
    long, short = torch.arange(12.0).reshape(4, 3), torch.ones(2, 3)
    cropped = crop(scale(task_of(long), factor=1.0), rows=2)
    assert torch.equal(in_strips(cropped, step), long[:2])
    extended = extend(task_of(short), task_of(long))
    assert extended.spec.shape == (4, 3)
    assert torch.equal(in_strips(extended, step), torch.cat([short, long[2:]]))


def test_only_the_first_rows_are_loaded(task_of, executed):
    entry = task_of(torch.arange(12.0).reshape(4, 3)).numbers["entry"]
    task = load(entry=entry, rows=2)
    assert executed(scale(task, factor=1.0)).tolist() == [[0, 1, 2], [3, 4, 5]]


def test_entries_that_are_not_finite_get_the_mean_of_substitutes(task_of, whole):
    tensor = task_of([1.0, NAN, float("inf"), NAN, -float("inf")])
    others = task_of([9.0, 2.0, NAN, NAN, 5.0]), task_of([9.0, 4.0, 7.0, float("inf"), NAN])
    found = whole(fill_nonfinite(tensor, *others))
    assert found.nan_to_num(-1).tolist() == [1, 3, 7, -1, 5]  # where none is, none comes to be


# -- casts ----------------------------------------------------------------------------------------


def test_casts_round_to_nearest_even(task_of, whole):
    """Next to 1 the numbers of bfloat16 are 2⁻⁷ apart: halfway goes to the even one."""
    halfway = task_of([1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-20, -1 - 2**-8])
    found = whole(cast(halfway, "bfloat16")).float()
    assert found.tolist() == [1, 1 + 2**-6, 1 + 2**-7, -1]


def test_a_cast_beyond_the_largest_number_is_infinite(task_of, whole):
    assert whole(cast(task_of([1e6]), "float16")).isinf().all()


def test_a_cast_to_its_own_dtype_vanishes(task_of):
    tensor = task_of([1.0])
    assert cast(tensor, "float32") is tensor


@pytest.mark.parametrize("narrow", ["bfloat16", "float16", "float8_e4m3fn", "float8_e5m2"])
def test_there_and_back_again_is_no_cast(narrow, task_of):
    stored = task_of(torch.tensor([1.0, 2.0]).to(getattr(torch, narrow)))
    assert cast(cast(stored, "float32"), narrow) is stored


def test_a_cast_that_loses_something_stays(task_of, whole):
    tensor = task_of([1 + 2**-8])
    assert whole(cast(cast(tensor, "bfloat16"), "float32")).tolist() == [1]


def test_by_way_of_a_wide_dtype_is_the_straight_way(task_of, whole):
    stored = task_of(torch.tensor([1.5, 65504.0]).half())
    roundabout = cast(cast(stored, "float32"), "bfloat16")
    assert roundabout == cast(stored, "bfloat16")
    assert whole(roundabout).tolist() == [1.5, 65536]


# -- keys, and what is checked before a tensor is read --------------------------------------------


def test_equal_tasks_have_equal_keys(task_of):
    first, second = task_of([1.0]), task_of([2.0])
    assert delta(first, second).key == delta(task_of([1.0]), task_of([2.0])).key
    assert average(first, second, weights=[1, 2]) == average(first, second, weights=(1, 2))


def test_a_default_stated_is_no_difference(task_of):
    pair = task_of([1.0]), task_of([2.0])
    assert average(*pair, weights=(1, 2)) == average(*pair, weights=(1, 2), normalize=True)


def test_different_tasks_have_different_keys(task_of):
    first, second = task_of([1.0]), task_of([2.0])
    tasks = [
        first,
        second,
        delta(first, second),
        delta(second, first),
        scale(first, factor=2.0),
        scale(first, factor=2.0000000000000004),
        scale(second, factor=2.0),
        average(first, second, weights=(1.0, 2.0)),
        average(first, second, weights=(2.0, 1.0)),
        average(first, second, weights=(1.0, 2.0), normalize=False),
        cast(first, "bfloat16"),
        cast(first, "float16"),
        task_of([[1.0]]),
        task_of(torch.tensor([1.0], dtype=torch.float64)),
    ]
    assert len({task.key for task in tasks}) == len(tasks)


@pytest.mark.parametrize(
    "apply", [delta, lambda a, b: average(a, b, weights=(1, 1)), gram, combine]
)
def test_shapes_that_differ_are_both_named(apply, task_of):
    pair = task_of(torch.zeros(2, 3)), task_of(torch.zeros(3, 2))
    with pytest.raises(MergeGraphError, match=r"shapes differ: \(2, 3\) and \(3, 2\)"):
        apply(*pair)


def test_shapes_that_differ_are_named_by_fusing_ops(task_of):
    pair = task_of(torch.zeros(4)), task_of(torch.zeros(2, 2))
    with pytest.raises(MergeGraphError, match=r"elect: shapes differ: \(4,\) and \(2, 2\)"):
        elect(*pair, weights=(1, 1))
    with pytest.raises(MergeGraphError, match=r"fuse: shapes differ: \(4,\) and \(2, 2\)"):
        fuse(*pair, weights=(1,))


def test_wrong_numbers_are_refused(task_of):
    with pytest.raises(TypeError, match="scale takes no wieght"):
        scale(task_of([1.0]), factor=1.0, wieght=2)
    with pytest.raises(TypeError, match="scale needs factor"):
        scale(task_of([1.0]))


def test_axes_in_the_order_of_a_file_are_put_into_their_own(task_of, whole):
    tensor = torch.arange(24.0).reshape(2, 3, 4)
    task = reorder(task_of(tensor.permute(2, 0, 1).contiguous()), axes=(2, 0, 1))
    assert task.spec.shape == (2, 3, 4)
    assert torch.equal(whole(task), tensor)
