"""WUDI, against its loss minimised by automatic differentiation and by a pseudo-inverse."""

from __future__ import annotations

import pytest
import torch
from examples import examples, expect
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from mergegraph_methods.parts import interference
from mergegraph_methods.wudi import wudi

from mergegraph import About


def loss(change: torch.Tensor, deltas: list[torch.Tensor]) -> torch.Tensor:
    parts = [((change - each) @ each.T).square().sum() / each.square().sum() for each in deltas]
    return torch.stack(parts).sum()


def plainest_steps(deltas: list[torch.Tensor], steps: int, rate: float) -> torch.Tensor:
    deltas = [each.double() for each in deltas]
    change = torch.nn.Parameter(sum(deltas))
    seen = [each for each in deltas if each.any()]
    optimizer = torch.optim.Adam([change], lr=rate)
    for _ in range(steps if seen else 0):
        optimizer.zero_grad()
        loss(change, seen).backward()
        optimizer.step()
    return change.detach()


def regmean(deltas: list[torch.Tensor]) -> torch.Tensor:
    """Σ τᵢ·Gᵢ·(Σ Gᵢ)⁺ with Gᵢ = τᵢᵀτᵢ/‖τᵢ‖²."""
    deltas = [each.double() for each in deltas]
    grams = [
        each.T @ each / each.square().sum() if each.any() else 0 * each.T @ each for each in deltas
    ]
    moved = sum(each @ gram for each, gram in zip(deltas, grams, strict=True))
    return moved @ torch.linalg.pinv(sum(grams), rtol=1e-12, hermitian=True)


def condition(deltas: list[torch.Tensor]) -> float:
    """The smallest singular value of all tasks' rows together that is not nothing."""
    values = torch.linalg.svdvals(
        torch.cat([each / each.norm().clamp(min=1e-30) for each in deltas])
    )
    values = values / values[0].clamp(min=1e-30)
    return float(values[values > 1e-6].min()) if values[0] > 0 else 1.0


def matrices(shape: tuple[int, ...], count: int, scale: float = 1.0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [scale * torch.randn(shape, generator=generator) for _ in range(count)]


@examples("wudi")
def test_examples(example, merge):
    deltas = example["inputs"]["task_matrices"]
    found = merge(wudi, torch.zeros(2, 2), deltas, solver=example["params"]["solver"])
    expect(found, example["expected"]["merged_delta"], example)
    given = [torch.tensor(each) for each in deltas]
    assert float(loss(found, given)) == pytest.approx(example["expected"]["loss"], abs=1e-6)
    at_sum = float(loss(sum(given), given))
    assert at_sum == pytest.approx(example["expected"]["loss_at_sum"], abs=1e-6)


def doubt_of(deltas, steps, rate):
    """How far steps go astray that should stand still, where a gradient is nothing but rounding.

    Adam makes the noise of a gradient that is zero as long as any other step.
    """
    plain = plainest_steps(deltas, steps, rate)
    generator = torch.Generator().manual_seed(0)
    largest = max(float(each.abs().max()) for each in deltas)
    doubts = []
    for _ in range(3):
        noise = [torch.randn(each.shape, generator=generator).double() for each in deltas]
        shaken = [each + 1e-7 * largest * by for each, by in zip(deltas, noise, strict=True)]
        doubts.append((plainest_steps(shaken, steps, rate) - plain).abs())
    return 3 * torch.stack(doubts).amax(0)


@given(data=st.data(), strength=st.sampled_from([1.0, 0.5]), steps=st.sampled_from([0, 1, 30]))
@settings(max_examples=60, deadline=None)
def test_steps_of_adam(data, strength, steps, draw_family, draw_weights, merge):
    base, models = draw_family(data)
    weights = draw_weights(data, len(models))
    deltas = [w * (each - base).double() for w, each in zip(weights, models, strict=True)]
    numbers = {"steps": steps, "learning_rate": 0.01, "lambda": strength}
    found = merge(wudi, base, models, weight=weights, **numbers)
    if base.dim() < 2 or base.numel() == 0:
        change, doubt = sum(deltas) / len(deltas), torch.zeros(base.shape)
    else:
        flat = [each.reshape(len(each), -1) for each in deltas]
        change = plainest_steps(flat, steps, 0.01).reshape(base.shape)
        doubt = doubt_of(flat, steps, 0.01).reshape(base.shape)
    wanted = base + strength * change
    assert ((found - wanted).abs() <= 1e-4 + 1e-4 * wanted.abs() + strength * doubt).all()


@pytest.mark.parametrize("shape", [(20, 20), (8, 30), (3, 40), (30, 8), (1, 50)])
def test_the_usual_steps_on_changes_of_the_usual_size(shape, merge):
    """Wide matrices go by way of the task vectors, others by way of the curvature."""
    deltas = matrices(shape, 3, scale=1e-3)
    found = merge(wudi, torch.zeros(shape), deltas).double()
    wanted = plainest_steps(deltas, 300, 1e-5)
    assert (wanted - sum(deltas)).abs().max() > 1e-4
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-7)


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_closed_form_is_regmean_with_task_vectors_for_inputs(
    data, draw_family, draw_weights, merge
):
    base, models = draw_family(data)
    assume(base.dim() > 1 and base.numel() > 0)
    weights = draw_weights(data, len(models))
    pairs = zip(weights, models, strict=True)
    deltas = [w * (each - base).double().reshape(len(base), -1) for w, each in pairs]
    assume(condition(deltas) > 1e-3)
    found = merge(wudi, base, models, weight=weights, solver="closed_form")
    wanted = base + regmean(deltas).reshape(base.shape)
    torch.testing.assert_close(found.double(), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(20, 20), (8, 30), (3, 40), (30, 8), (1, 50)])
def test_closed_form_of_matrices_of_any_format(shape, merge):
    deltas = matrices(shape, 3)
    found = merge(wudi, torch.zeros(shape), deltas, solver="closed_form")
    torch.testing.assert_close(found.double(), regmean(deltas), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("solver", ["adam", "closed_form"])
def test_the_loss_falls(solver, merge):
    deltas = matrices((10, 12), 3, scale=1e-3)
    found = merge(wudi, torch.zeros(10, 12), deltas, solver=solver)
    assert loss(found, deltas) < 0.8 * loss(sum(deltas), deltas)


@pytest.mark.parametrize("solver", ["adam", "closed_form"])
def test_one_task_is_that_task(solver, merge):
    base, model = matrices((5, 7), 2)
    found = merge(wudi, base, [model], solver=solver)
    torch.testing.assert_close(found, model, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("solver", ["adam", "closed_form"])
def test_tasks_on_different_inputs_add_up(solver, merge):
    """The loss of their sum is zero."""
    first, second = matrices((4, 6), 2)
    first[:, 3:] = second[:, :3] = 0
    found = merge(wudi, torch.zeros(4, 6), [first, second], solver=solver)
    torch.testing.assert_close(found, first + second)


@pytest.mark.parametrize("solver", ["adam", "closed_form"])
def test_models_that_changed_nothing_or_weigh_nothing_are_skipped(solver, merge):
    first, second, third = matrices((4, 6), 3)
    base = torch.zeros(4, 6)
    found = merge(
        wudi, base, [first, base, second, third], weight=[1.0, 1.0, 1.0, 0.0], solver=solver
    )
    wanted = merge(wudi, base, [first, second], solver=solver)
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-6)
    assert torch.equal(merge(wudi, first, [second], weight=[0.0], solver=solver), first)


@pytest.mark.parametrize("solver", ["adam", "closed_form"])
@pytest.mark.parametrize("shape", [(4, 6), (2, 30)])
@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e12])
def test_changes_of_any_size(solver, shape, scale, merge):
    deltas = matrices(shape, 2, scale=scale)
    found = merge(wudi, torch.zeros(shape), deltas, solver=solver)
    assert found.isfinite().all()
    if solver == "closed_form":
        wanted = regmean([each.double() / scale for each in deltas])
        torch.testing.assert_close(found.double() / scale, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("solver", ["adam", "closed_form"])
def test_signs_of_directions_make_no_difference(solver, merge, monkeypatch):
    deltas = matrices((6, 8), 3)
    found = merge(wudi, torch.zeros(6, 8), deltas, solver=solver)
    plain = torch.linalg.eigh
    monkeypatch.setattr("torch.linalg.eigh", lambda each: (plain(each)[0], -plain(each)[1]))
    torch.testing.assert_close(merge(wudi, torch.zeros(6, 8), deltas, solver=solver), found)


def test_what_is_no_matrix_is_averaged_or_left_alone(merge):
    base, first, second = (torch.tensor(each) for each in ([1.0, 1.0], [2.0, 3.0], [4.0, 1.0]))
    assert merge(wudi, base, [first, second]).tolist() == [3, 2]
    assert merge(wudi, base, [first, second], others="base").tolist() == [1, 1]
    about = About(is_vocabulary=True)
    found = merge(wudi, base[None], [first[None], second[None]], others="base", about=about)
    assert found.tolist() == [[1, 1]]


def test_both_gradients_are_the_same():
    """By way of the curvature, and of the task vectors."""
    deltas = matrices((6, 9), 3, scale=1e-3)
    weights = (1.0, 0.5, -1.0)
    pull = interference.disturbance.kernel(*deltas, weights=weights, dtype="float32")
    bend = interference.curvature.kernel(*deltas, dtype="float32")
    numbers = {"steps": 20, "learning_rate": 1e-5}
    short = interference.descend.kernel(pull, bend, by_inputs=True, **numbers)
    long = interference.descend.kernel(pull, *deltas, by_inputs=False, **numbers)
    torch.testing.assert_close(short, long, rtol=1e-4, atol=1e-8)
