"""Perplexity of local texts: how little a model expects what stands in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from math import exp, inf, log
from typing import Annotated, Any, Literal

from mergegraph import Between, Candidate, Evaluator, MergeGraphError, evaluator, hookimpl
from mergegraph_evaluators.parts.loading import (
    check_device,
    check_there,
    load_model,
    load_tokenizer,
)
from mergegraph_evaluators.parts.texts import files_in, pieces_of, text_of
from mergegraph_evaluators.parts.threads import check_threads, threads_of

_HIGHEST = 700.0  # the exponential of more is no float


def _check(data: str, *, length: int, stride: int, device: str, threads: int) -> None:
    check_there("perplexity", "transformers")
    check_device(device)
    check_threads(threads)
    if not any(text_of(each) for each in files_in(data)):
        raise MergeGraphError(f"{data}: holds no text")
    if stride >= length:
        fact = f"stride {stride} leaves no context in windows of {length} tokens"
        raise MergeGraphError(f"{fact}; write a smaller one")


@evaluator(
    pieces=lambda data: pieces_of(files_in(data)),
    check=_check,
    main="perplexity",
    lower_is_better=("perplexity", "bits_per_byte"),
)
def perplexity(
    model: Candidate,
    data: str,
    *,
    length: Annotated[int, Between(2)] = 512,
    stride: Annotated[int, Between(1)] = 256,
    batch: Annotated[int, Between(1)] = 8,
    dtype: Literal["float32", "bfloat16", "float16"] = "float32",
    device: str = "cpu",
    threads: Annotated[int, Between(1)] = 1,
) -> Mapping[str, float]:
    """How little a causal language model expects the text of local files.

    perplexity = exp(−(1/T) Σ log p(token | those before it)), over all T tokens of the files;
    bits_per_byte = −Σ log₂ p / bytes, which models with different tokenizers share.

    DATA is a file of UTF-8 text, or several, as `a.txt+b.txt`. Every file is read in windows by the
    model's own tokenizer, and begins with its token for beginnings; without such a token its first
    token counts for nothing. It is run by transformers, without code from others, in memory.

    length: tokens of a window; no more than the model has positions.
    stride: tokens from one window to the next, fewer than it has; the others are context.
    batch: windows at a time.
    dtype: what it is computed in.
    device: where, such as cuda.
    threads: cores; the last digits depend on it.
    """
    import torch

    texts = [text_of(path) for path in files_in(data)]
    tokenizer = load_tokenizer(model)
    with threads_of(threads), torch.no_grad():
        made = load_model(model, dtype=dtype, device=device)
        _check_length(made.config, length)
        windows: list[_Window] = []
        nbytes = 0
        for text in texts:
            tokens, counted = _tokens(tokenizer, text, made.get_input_embeddings().num_embeddings)
            windows += _windows(tokens, length, stride)
            nbytes += counted
        return _scores(made, windows, batch, nbytes)


@dataclass(frozen=True)
class _Window:
    """Some tokens, of which those from `first` on count."""

    tokens: tuple[int, ...]
    first: int


def _check_length(config: Any, length: int) -> None:
    most = getattr(config.get_text_config(), "max_position_embeddings", None)
    if isinstance(most, int) and length > most:
        fact = f"a window of {length} tokens is more than the {most} positions it has"
        raise MergeGraphError(f"{fact}; write length={most}")


def _tokens(tokenizer: Any, text: str, rows: int) -> tuple[list[int], int]:
    """The tokens of a text, and the bytes of what counts; raises MergeGraphError."""
    found = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    if found and max(found) >= rows:
        fact = f"its tokenizer gives token {max(found)}, and it has rows for {rows}"
        raise MergeGraphError(f"{fact}; they are not of one model")
    nbytes = len(text.encode())
    if tokenizer.bos_token_id is not None:
        return [tokenizer.bos_token_id, *found], nbytes
    return found, nbytes - len(tokenizer.decode(found[:1]).encode())


def _windows(tokens: list[int], length: int, stride: int) -> Iterator[_Window]:
    """Windows in which every token but the first counts once, with what stands before it."""
    done = 1
    for start in range(0, max(1, len(tokens)), stride):
        stop = min(start + length, len(tokens))
        if stop > done:
            yield _Window(tuple(tokens[start:stop]), done - start)
            done = stop


def _scores(model: Any, windows: list[_Window], batch: int, nbytes: int) -> Mapping[str, float]:
    count = sum(len(each.tokens) - each.first for each in windows)
    if not count or not nbytes:
        raise MergeGraphError("the text is too short: no token of it has others before it")
    lost = sum(_lost(model, each) for each in _batches(windows, batch))
    mean = lost / count
    return {
        "perplexity": inf if mean > _HIGHEST else exp(mean),
        "bits_per_byte": lost / log(2) / nbytes,
    }


def _batches(windows: list[_Window], batch: int) -> Iterator[list[_Window]]:
    """Windows of one length and one start together, which need no padding."""
    for _, alike in groupby(windows, lambda each: (len(each.tokens), each.first)):
        inside = list(alike)
        yield from (inside[at : at + batch] for at in range(0, len(inside), batch))


def _lost(model: Any, windows: list[_Window]) -> float:
    """−Σ log p of the tokens that count, in natural units."""
    import torch

    first = windows[0].first
    tokens = torch.tensor([each.tokens for each in windows], device=model.device)
    logits = model(input_ids=tokens, use_cache=False).logits[:, first - 1 : -1].float()
    wanted = tokens[:, first:].unsqueeze(-1)
    found = logits.gather(-1, wanted).squeeze(-1) - logits.logsumexp(-1)
    return float(-found.double().sum())


@hookimpl
def evaluators() -> Iterable[Evaluator]:
    """Offer it."""
    return [perplexity]
