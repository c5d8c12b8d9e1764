"""Problems as a padded batch of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mergegraph.demo.skills import Problem
from mergegraph.demo.tokenizer import BEGIN, END, PAD, encode


@dataclass(frozen=True)
class Batch:
    """What is read, the token that should come after each, and where that is part of an answer."""

    read: Tensor
    wanted: Tensor
    is_answer: Tensor


def make_batch(problems: Sequence[Problem]) -> Batch:
    """Lay problems out as rows, padded at the end; the end of an answer is part of it."""
    rows = [[BEGIN, *encode(each.question + each.answer), END] for each in problems]
    width = max(map(len, rows))
    tokens = torch.tensor([row + [PAD] * (width - len(row)) for row in rows])
    starts = torch.tensor([len(each.question) for each in problems])
    stops = torch.tensor([len(row) - 1 for row in rows])
    places = torch.arange(width - 1)
    is_answer = (places >= starts[:, None]) & (places < stops[:, None])
    return Batch(tokens[:, :-1], tokens[:, 1:], is_answer)
