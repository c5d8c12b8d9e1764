"""Gates: for each layer a row for every expert, which a token's hidden state is compared with.

They are drawn, or made of the prompts that experts are to be chosen for: of the embeddings of their
tokens, or of hidden states of the base model (`mergegraph.moe.hidden`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import combinations
from pathlib import Path
from typing import Any

from mergegraph.errors import MergeGraphError
from mergegraph.files.reading import MemoryEntry
from mergegraph.moe.reading import Expert
from mergegraph.ops.arithmetic import load
from mergegraph.spec import Spec
from mergegraph.tasks import Task, op

CANCELLED = "its positive and negative prompts cancel out, and leave nothing to choose it by"
CLOSE = 0.9999  # cosine of rows that choose alike


def drawn(mode: str, shape: tuple[int, int], *, seed: int, name: str) -> Task:
    """A gate drawn at random: normal numbers, or such as a linear layer begins with."""
    import numpy as np
    import torch

    digest = blake2b(f"{seed}\n{name}".encode(), digest_size=16).digest()
    random = np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))
    bound = shape[1] ** -0.5
    values = random.normal(size=shape) if mode == "random" else random.uniform(-bound, bound, shape)
    return given(torch.from_numpy(values.astype(np.float32)), f"gate:{mode}:{shape}:{digest.hex()}")


def given(tensor: Any, identity: str) -> Task:
    """A task of numbers that are there already."""
    return load(entry=MemoryEntry(tensor, Spec.of(tensor), identity))


def embedded(embedding: Task, experts: Sequence[Expert], tokenizer: Any) -> Task:
    """A gate whose rows are the normalised sums of the embeddings of the prompts' tokens."""
    row = embedding.spec.row
    sums = []
    for expert in experts:
        counts = token_counts(tokenizer, expert, embedding.spec.shape[0])
        tokens, weights = tuple(counts), tuple(map(float, counts.values()))
        sums.append(_sum_rows(embedding, row=row, tokens=tokens, weights=weights))
    return _normalised(*sums)


def token_counts(tokenizer: Any, expert: Expert, rows: int) -> dict[int, int]:
    """How often each token is in an expert's prompts, negative ones counted below zero."""
    counts: Counter[int] = Counter()
    for prompts, sign in ((expert.positive, 1), (expert.negative, -1)):
        for prompt in prompts:
            for token in tokenizer.encode(prompt).ids:
                counts[token] += sign
    beyond = [token for token in counts if token >= rows]
    if beyond:
        raise MergeGraphError(f"{expert.place}: {beyond_rows(beyond[0], rows)}")
    kept = {token: count for token, count in sorted(counts.items()) if count}
    if not kept:
        raise MergeGraphError(f"{expert.place}: {CANCELLED}")
    return kept


def beyond_rows(token: int, rows: int) -> str:
    """What is told of a token that a model does not have."""
    return f"the tokenizer gives the token {token}, the embedding has {rows} rows"


def read_tokenizer(root: Path) -> Any:
    """The tokenizer of a model; raises MergeGraphError if it has none that can be read."""
    from tokenizers import Tokenizer

    path = root / "tokenizer.json"
    if not path.is_file():
        raise MergeGraphError(f"{path}: not there, and gate_mode cheap_embed takes it; use random")
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:
        raise MergeGraphError(f"{path}: not a tokenizer: {error}") from error


def alike(rows: Sequence[Sequence[float]]) -> Iterator[tuple[int, int]]:
    """Pairs of rows of a gate that point the same way: these experts are chosen together."""
    import torch

    table = torch.tensor(rows, dtype=torch.float64)
    table /= table.norm(dim=1, keepdim=True).clamp(min=1e-30)
    for one, other in combinations(range(len(table)), 2):
        if float(table[one] @ table[other]) > CLOSE:
            yield one, other


@op(cut="fold", copies=3, infer=lambda _embedding, *, row, **_: Spec((row,), "float64"))
def _sum_rows(
    embedding: Any, *, row: int, tokens: tuple[int, ...], weights: tuple[float, ...], start: int
) -> Any:
    """Σ wᵢ·xᵢ of some rows, those that a strip has all or a part of."""
    import torch

    total = torch.zeros(row, dtype=torch.float64)
    stop = start + embedding.numel()
    for token, weight in zip(tokens, weights, strict=True):
        first, last = max(start, token * row), min(stop, (token + 1) * row)
        if first < last:
            part = embedding[first - start : last - start].double()
            total[first - token * row : last - token * row] += weight * part
    return total


@op(small=True, infer=lambda *sums: Spec((len(sums), sums[0].shape[0]), "float32"))
def _normalised(*sums: Any) -> Any:
    """Rows of length one; a row of zeros stays."""
    import torch

    rows = torch.stack(sums)
    if not rows.isfinite().all():
        raise MergeGraphError("the embeddings of the prompts are NaN or infinite")
    return (rows / rows.norm(dim=1, keepdim=True).clamp(min=1e-30)).float()
