"""Tasks of the Language Model Evaluation Harness, lm-eval."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any, Literal

from mergegraph import Between, Candidate, Evaluator, MergeGraphError, evaluator, hookimpl
from mergegraph_evaluators.parts.harness import check_tasks, harness, load_tasks, manager_of
from mergegraph_evaluators.parts.loading import (
    check_device,
    check_there,
    load_model,
    load_tokenizer,
)
from mergegraph_evaluators.parts.threads import check_threads, threads_of

_HALVES = ("even", "odd")
_MEAN = "mean"
_OF_TASKS = ("alias", "name", "sample_len")  # what results have beside metrics


@dataclass(frozen=True)
class _Wanted:
    """A task, and which half of its documents; None for all of them."""

    task: str
    half: str | None

    def chosen(self, count: int, limit: int | None) -> list[int]:
        """The numbers of its documents, of so many in all."""
        first, step = (0, 1) if self.half is None else (_HALVES.index(self.half), 2)
        return list(range(first, count, step))[:limit]


def _read(data: str) -> list[_Wanted]:
    """The tasks that data names; raises MergeGraphError."""
    found = []
    for each in data.split("+"):
        task, at, half = each.strip().partition("@")
        if not task or (at and half not in _HALVES):
            form = f"write TASK, TASK@{_HALVES[0]} or TASK@{_HALVES[1]}, with + between them"
            raise MergeGraphError(f"lm_eval:{data}: {form}")
        found.append(_Wanted(task, half or None))
    if len({each.task for each in found}) < len(found):
        raise MergeGraphError(f"lm_eval:{data}: names a task twice")
    return found


def _check(
    data: str, *, include_path: str | None, network: bool, device: str, threads: int
) -> None:
    wanted = _read(data)
    check_there("lm_eval", "lm_eval", "transformers")
    check_device(device)
    check_threads(threads)
    for each in include_path.split("+") if include_path else ():
        if not Path(each).expanduser().is_dir():
            raise MergeGraphError(f"include_path {each}: there is no such folder")
    with harness(network=network):
        check_tasks([each.task for each in wanted], include_path)


def _pieces(data: str) -> Iterator[str]:
    for each in _read(data):
        yield from (f"{each.task}@{half}" for half in _HALVES if each.half in (None, half))


@evaluator(pieces=_pieces, check=_check, main=_MEAN)
def lm_eval(
    model: Candidate,
    data: str,
    *,
    include_path: str | None = None,
    limit: Annotated[int, Between(1)] | None = None,
    fewshot: Annotated[int, Between(0)] | None = None,
    batch: Annotated[int, Between(1)] = 8,
    dtype: Literal["float32", "bfloat16", "float16"] = "float32",
    device: str = "cpu",
    threads: Annotated[int, Between(1)] = 1,
    network: bool = False,
) -> Mapping[str, float]:
    """Scores of tasks of the Language Model Evaluation Harness, each as task/metric.

    DATA names tasks, as `arc_easy+hellaswag`. With @even or @odd a task has every other document
    only, so that one half can choose and the other report. `mean` is that of the first metric of
    each of them, as far as more of it is better.

    Tasks of your own are YAML files in a folder, and code beside them is run. Models bring no code.
    Nothing is fetched unless you say so. Equal task names are taken for equal data, and others for
    other data: that a group has a task in it is not seen.

    include_path: folders of tasks of your own, with + between them.
    limit: how many documents of each task.
    fewshot: how many solved examples come first; without it, what the task says.
    batch: how many requests at a time.
    dtype: what it is computed in.
    device: where, such as cuda.
    threads: cores; the last digits depend on it.
    network: fetch data of tasks from the Hub that is not on this machine.
    """
    wanted = _read(data)
    names = [each.task for each in wanted]
    with harness(network=network), threads_of(threads):
        samples = _samples(wanted, load_tasks(names, include_path, network=network), limit)
        found = _results(
            _harnessed(model, dtype=dtype, device=device, batch=batch),
            tasks=names,
            task_manager=manager_of(names, include_path),
            num_fewshot=fewshot,
            samples=samples,
            limit=None if samples else limit,
        )
    return _scores(found, names)


def _samples(
    wanted: Sequence[_Wanted], tasks: Mapping[str, Any], limit: int | None
) -> dict[str, list[int]] | None:
    """The documents of each task, if not all of them are wanted."""
    if all(each.half is None for each in wanted):
        return None
    for each in wanted:
        if each.half is not None and each.task not in tasks:
            raise MergeGraphError(f"{each.task} is a group of tasks, which has no halves")
    named = {each.task: each for each in wanted}
    return {
        name: named.get(name, _Wanted(name, None)).chosen(len(task.eval_docs), limit)
        for name, task in tasks.items()
    }


def _harnessed(model: Candidate, *, dtype: str, device: str, batch: int) -> Any:
    """A candidate as the harness has models; raises MergeGraphError."""
    from lm_eval.models.huggingface import HFLM

    tokenizer = load_tokenizer(model)
    made = load_model(model, dtype=dtype, device=device)
    begins = tokenizer.bos_token_id or tokenizer.eos_token_id or made.config.bos_token_id
    return HFLM(
        pretrained=made,
        tokenizer=tokenizer,
        batch_size=batch,
        device=device,
        prefix_token_id=begins,
    )


def _results(model: Any, **asked: Any) -> Mapping[str, Any]:
    """What the harness finds; of how sure it is, it says nothing, as that takes long."""
    from lm_eval import simple_evaluate

    found = simple_evaluate(model=model, bootstrap_iters=0, log_samples=False, **asked)
    return found or {}


def _scores(found: Mapping[str, Any], names: Sequence[str]) -> Mapping[str, float]:
    scores = {
        f"{task}/{metric}": value
        for task, results in found["results"].items()
        for metric, value in _metrics(results)
    }
    firsts = [_first(found, name) for name in names]
    means = [each for each in firsts if each is not None]
    return {**scores, **({_MEAN: fmean(means)} if means else {})}


def _metrics(results: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The metrics of a task, those of a filter with its name behind them."""
    for told, value in results.items():
        metric, _, of = told.partition(",")
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if told not in _OF_TASKS and is_number and not metric.endswith("_stderr"):
            yield (metric if of in ("", "none") else f"{metric}/{of}"), value


def _first(found: Mapping[str, Any], name: str) -> float | None:
    """The first metric of a task of which more is better."""
    goes_up = found["higher_is_better"].get(name, {})
    results = {**found.get("groups", {}).get(name, {}), **found["results"].get(name, {})}
    for metric, value in _metrics(results):
        if goes_up.get(metric.partition("/")[0]):
            return value
    return None


@hookimpl
def evaluators() -> Iterable[Evaluator]:
    """Offer it."""
    return [lm_eval]
