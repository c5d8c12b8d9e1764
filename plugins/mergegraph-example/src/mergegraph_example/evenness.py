"""An evaluator from outside: how even the entries of each matrix of a model are."""

from collections.abc import Iterable, Mapping
from typing import Annotated

from mergegraph import Between, Candidate, Evaluator, MergeGraphError, evaluator, hookimpl

PARTS = ("first", "second")


def _check(data: str) -> None:
    if data not in PARTS:
        raise MergeGraphError(f"evenness: '{data}' is none of {' and '.join(PARTS)}")


@evaluator(splits=PARTS, check=_check, main="evenness", lower_is_better=["spread"])
def evenness(
    model: Candidate, data: str, *, power: Annotated[float, Between(1)] = 2.0
) -> Mapping[str, float]:
    """Tell how even the entries of matrices are: mean |x| by the mean of higher powers.

    evenness = mean |x| / (mean |x|ᵖ)^(1/p), and spread is 1 less that. Of every matrix either half
    of the rows is looked at, so that one can choose and the other report.

    power: how much large entries count.
    """
    import torch

    side = PARTS.index(data)
    found = []
    for each in (each for each in model.tensors.values() if each.dim() == len(PARTS)):
        rows = each[side::2].double().abs()
        found.append(rows.mean() / rows.pow(power).mean().pow(1 / power))
    if not found:
        raise MergeGraphError(f"{model.name} has no matrices")
    mean = float(torch.stack(found).mean())
    return {"evenness": mean, "spread": 1 - mean}


@hookimpl
def evaluators() -> Iterable[Evaluator]:
    """Offer it."""
    return [evenness]
