"""SCE, against variances in whole fractions and sums in double precision."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import pytest
import torch
from examples import examples, expect, models_of
from hypothesis import given, settings
from hypothesis import strategies as st
from mergegraph_methods.sce import sce

from mergegraph import strips
from mergegraph.plans import Output, plan_of
from mergegraph.running.execute import execute
from mergegraph.running.sinks import TensorSink
from mergegraph.scheduling.schedule import make_schedule
from mergegraph.testing import check_method

SHARES = st.sampled_from([0.0, 0.1, 1 / 3, 0.5, 0.99, 1.0])


def spread(entries: list[float]) -> Fraction:
    """N² times the variance, exactly."""
    exact = [Fraction(each) for each in entries]
    return len(exact) * sum(each * each for each in exact) - sum(exact) ** 2


def selected(deltas: torch.Tensor, share: float) -> torch.Tensor:
    """Where the task vectors `[N, d]` differ most, as bools."""
    if share >= 1:
        return torch.ones(deltas.shape[1], dtype=torch.bool)
    found = [spread(column) for column in deltas.T.tolist()]
    count = floor(share * sum(each > 0 for each in found) + 1e-9)
    chosen = sorted(range(len(found)), key=lambda i: (-found[i], i))[:count]
    return torch.tensor([i in set(chosen) for i in range(len(found))], dtype=torch.bool)


def plainest_sce(base, models, *, share, scope="merge", strength=1.0) -> torch.Tensor:
    deltas = torch.stack([(each - base).reshape(-1) for each in models])
    kept = selected(deltas, share)
    deltas = deltas.double()
    energy = (deltas * kept).square().sum(1, keepdim=True)
    even = torch.full_like(energy, 1 / len(models))
    weights = energy / energy.sum() if energy.sum() > 0 else even
    merged = deltas * kept if scope == "merge" else deltas
    sign = torch.where(merged.sum(0) >= 0, 1.0, -1.0)
    agrees = merged.sign() == sign
    total, mass = ((agrees * weights * each).sum(0) for each in (merged, torch.ones_like(merged)))
    mean = total / torch.where(mass == 0, 1.0, mass)
    return base.double() + strength * mean.reshape(base.shape)


@given(
    data=st.data(),
    share=SHARES,
    scope=st.sampled_from(["merge", "weight"]),
    strength=st.sampled_from([1.0, 0.5]),
)
@settings(max_examples=150, deadline=None)
def test_select_calculate_and_erase(data, share, scope, strength, draw_family, merge):
    base, models = draw_family(data)
    numbers = {"select_topk": share, "select_scope": scope, "lambda": strength}
    found = merge(sce, base, models, **numbers)
    wanted = plainest_sce(base, models, share=share, scope=scope, strength=strength)
    torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-5)


@examples("sce")
def test_worked_examples(example, merge):
    found = merge(sce, *models_of(example), **example["params"])
    expect(found, example["expected"]["merged"], example)


def test_the_count_is_of_positions_that_differ_and_rounded_down(merge):
    """Five of eight differ; 0.5 of them are two, the largest; of equal ones the first."""
    first = torch.tensor([1.0, 1.0, 2.0, 1.0, 0.0, 0.0, 0.0, 1.0])
    second = torch.tensor([1.0, 3.0, 4.0, 4.0, 1.0, 0.0, 0.0, 3.0])
    found = merge(sce, torch.zeros(8), [first, second], select_topk=0.5)
    assert found.nonzero().flatten().tolist() == [1, 3]
    assert not merge(sce, torch.zeros(8), [first, second], select_topk=0.19).any()


def test_of_one_model_nothing_differs(merge):
    assert merge(sce, [1.0, 2.0], [[5.0, -3.0]], select_topk=0.9).tolist() == [1, 2]
    assert merge(sce, [1.0, 2.0], [[5.0, -3.0]]).tolist() == [5, -3]


def test_the_model_that_went_farther_has_the_larger_share(merge):
    found = merge(sce, torch.zeros(2), [torch.tensor([1.0, 1.0]), torch.tensor([3.0, 3.0])])
    torch.testing.assert_close(found, torch.tensor([2.8, 2.8]))


@pytest.mark.parametrize("scale", [1e-3, 1e-8, 1e-17])
def test_small_changes_have_shares_too(scale, merge):
    """mergekit gives equal ones below a mean square of 1e-6."""
    models = [torch.tensor([1.0, 1.0]) * scale, torch.tensor([3.0, 3.0]) * scale]
    found = merge(sce, torch.zeros(2), models, select_topk=1.0) / scale
    torch.testing.assert_close(found, torch.tensor([2.8, 2.8]))


def test_the_change_of_a_model_with_hardly_a_share_counts_where_it_is_alone(merge):
    models = [torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1e-20])]
    found = merge(sce, torch.zeros(2), models)
    torch.testing.assert_close(found, torch.tensor([1.0, 1e-20]), rtol=1e-6, atol=0)


def test_models_that_differ_nowhere_give_the_base_if_selected(merge):
    base, model = torch.zeros(4), torch.tensor([0.1, -2.0, 0.3, 1e-3])
    assert torch.equal(merge(sce, base, [model] * 3, select_topk=0.9), base)


def test_without_models_the_base_is_returned(merge):
    assert merge(sce, [1.0, 2.0], []).tolist() == [1, 2]


def test_a_tensor_of_many_strips_keeps_an_exact_count(merge_task, executed):
    generator = torch.Generator().manual_seed(3)
    base = torch.zeros(700, 601)
    models = [torch.randn(700, 601, generator=generator).bfloat16().float() for _ in "012"]
    for each in models:
        each[::2] = 0.25
    task = merge_task(sce, base, models, select_topk=0.3)
    merged = executed(task, threads=2)
    count = floor(0.3 * (350 * 601 - (torch.stack(models).std(0)[1::2] == 0).sum().item()))
    assert merged.count_nonzero() == count
    assert torch.equal(merged, executed(task, budget=20 * 2**20))


def test_it_keeps_its_word_where_positions_are_selected():
    check_method(sce, select_topk=0.4)


@pytest.mark.parametrize("values", [{}, {"select_topk": 1.0}, {"select_scope": "weight"}], ids=str)
def test_fused_passes_give_the_bytes_of_plain_ones(values, merge_task, monkeypatch):
    pytest.importorskip("numba")
    monkeypatch.setattr(strips, "STRIP", 1024)
    generator = torch.Generator().manual_seed(4)
    base, *models = (torch.randn(60, 90, generator=generator).bfloat16().float() for _ in "0123")
    models[1][::4] = models[0][::4]
    task = merge_task(sce, base, models, **{"select_topk": 0.6, **values})
    schedule = make_schedule(plan_of([Output("out", "w", task)], []), budget=2**30, threads=2)
    fused, plain = TensorSink(task.spec), TensorSink(task.spec)
    execute(schedule, [fused], is_compiled=True)
    execute(schedule, [plain])
    assert torch.equal(fused.tensor.view(torch.int32), plain.tensor.view(torch.int32))
