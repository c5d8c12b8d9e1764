"""KnOTS, against plain singular value decompositions in double precision."""

from __future__ import annotations

import pytest
import torch
from examples import examples, expect
from mergegraph_methods.knots import knots

from mergegraph import About, Factors
from mergegraph.testing import evaluate, small


def matrices(shape: tuple[int, ...], count: int, rank: int | None = None) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    if rank is None:
        return [torch.randn(shape, generator=generator) for _ in range(count)]
    sides = [(shape[0], rank), (rank, shape[1])]
    return [
        torch.randn(sides[0], generator=generator) @ torch.randn(sides[1], generator=generator)
        for _ in range(count)
    ]


def tied(parts: list[torch.Tensor], weights: list[float], density: float) -> torch.Tensor:
    """TIES of equal shapes: trimmed, signs by weighted sum, the mean of what agrees."""
    kept = []
    for part in parts:
        count = max(1, int(density * part.numel() + 1e-9))
        least = part.abs().flatten().kthvalue(part.numel() - count + 1).values
        kept.append(part.where(part.abs() >= least, 0.0))
    weighted = [w * each for w, each in zip(weights, kept, strict=True)]
    sign = sum(weighted).sign()
    sign[sign == 0] = 1
    agreeing = [each.where(each.sign() == sign, 0.0) for each in weighted]
    shares = sum(w * (a != 0) for w, a in zip(weights, agreeing, strict=True))
    return sum(agreeing) / shares.where(shares != 0, 1.0)


def oracle(deltas: list[torch.Tensor], weights: list[float], density: float) -> torch.Tensor:
    flat = [each.double().reshape(len(each), -1) for each in deltas]
    left, values, right = torch.linalg.svd(torch.cat(flat, 1), full_matrices=False)
    kept = values > 1e-5
    inner = values[kept, None] * right[kept]
    merged = tied(list(inner.split(flat[0].shape[1], 1)), weights, density)
    return (left[:, kept] @ merged).reshape(deltas[0].shape)


@examples("knots")
def test_examples(example, merge):
    deltas = [torch.tensor(each) for each in example["inputs"]["task_matrices"]]
    inner = example["params"]["inner"]
    density = example["params"].get("density", 1.0)
    found = merge(knots, torch.zeros(2, 2), deltas, inner=inner, density=density)
    expect(found, example["expected"]["merged_delta"], example)


@pytest.mark.parametrize("density", [0.2, 0.5, 1.0])
@pytest.mark.parametrize("shape", [(20, 20), (12, 50), (50, 12), (90, 4), (6, 2, 3, 3)])
def test_matrices_of_any_format(shape, density, merge):
    deltas, weights = matrices(shape, 3), [0.5, 1.0, 2.0]
    found = merge(knots, torch.zeros(shape), deltas, weight=weights, density=density)
    wanted = oracle(deltas, weights, density)
    torch.testing.assert_close(found.double(), wanted, rtol=1e-4, atol=1e-4)


def test_directions_there_are_none_of_are_not_counted(merge):
    deltas = matrices((30, 40), 2, rank=2)
    found = merge(knots, torch.zeros(30, 40), deltas, density=0.3)
    torch.testing.assert_close(
        found.double(), oracle(deltas, [1.0, 1.0], 0.3), rtol=1e-4, atol=1e-4
    )


def test_a_sum_is_the_plain_sum(merge):
    deltas = matrices((9, 7), 3)
    found = merge(knots, torch.ones(9, 7), [1 + each for each in deltas], inner="sum",
                  weight=[1.0, 2.0, -1.0], **{"lambda": 0.5})  # fmt: skip
    wanted = 1 + 0.5 * (deltas[0] + 2 * deltas[1] - deltas[2])
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


def test_embeddings_are_averaged_unless_they_are_asked_for(merge):
    deltas, about = matrices((6, 8), 2), About(is_vocabulary=True)
    base = torch.zeros(6, 8)
    torch.testing.assert_close(merge(knots, base, deltas, about=about), sum(deltas) / 2)
    found = merge(knots, base, deltas, about=about, vocabulary=True)
    assert torch.equal(found, merge(knots, base, deltas))


@pytest.mark.parametrize("density", [0.2, 1.0])
@pytest.mark.parametrize("shape", [(30, 40), (9, 50), (50, 9)])
def test_factors_come_to_the_same(shape, density):
    generator = torch.Generator().manual_seed(3)
    sides = [
        (
            torch.randn(shape[0], r, generator=generator),
            torch.randn(r, shape[1], generator=generator),
        )
        for r in (2, 5, 3)
    ]
    models = [Factors(small(left), small(right)) for left, right in sides]
    values = {"weight": [1.0, 0.5, 2.0], "density": [density] * 3, "seeds": [1, 2, 3],
              "inner": "ties", "normalize": True, "lambda": 0.7, "vocabulary": False}  # fmt: skip
    found = knots.of_factors(models, **values)
    merged = evaluate(found.left).double() @ evaluate(found.right).double()
    wanted = 0.7 * oracle([a @ b for a, b in sides], [1.0, 0.5, 2.0], density)
    torch.testing.assert_close(merged, wanted, rtol=1e-4, atol=1e-4)
