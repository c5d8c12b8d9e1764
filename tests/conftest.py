"""Things that tests are made of."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import reduce
from hashlib import sha256
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import strategies as st
from safetensors.torch import save_file

from mergegraph import About, Method, Request, Spec, Task
from mergegraph.files.reading import MemoryEntry, Reader
from mergegraph.ops.arithmetic import load
from mergegraph.plans import Output, plan_of
from mergegraph.running.execute import execute
from mergegraph.scheduling.schedule import make_schedule
from mergegraph.tasks import walk

WriteCheckpoint = Callable[..., Path]
Evaluate = Callable[..., torch.Tensor]

SHAPES = ((), (1,), (7,), (0,), (1, 1), (5, 1), (1, 6), (4, 3), (0, 3), (3, 2, 2, 2))


@pytest.fixture
def checkpoint(tmp_path: Path) -> WriteCheckpoint:
    """Write a tiny model directory: `checkpoint("base", {"w": [[1, 2]]}, config={...})`.

    Tensors may be given as nested lists, which become float32, or by keyword. Gives the path.
    """

    def write(
        name: str,
        tensors: Mapping[str, Any] | None = None,
        *,
        config: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> Path:
        root = tmp_path / name
        root.mkdir(parents=True)
        found = {**(tensors or {}), **more}
        save_file({key: _tensor(value) for key, value in found.items()}, root / "model.safetensors")
        (root / "config.json").write_text(json.dumps(dict(config or {})))
        return root

    return write


def _tensor(value: Any) -> torch.Tensor:
    return value if isinstance(value, torch.Tensor) else torch.tensor(value, dtype=torch.float32)


# -- tasks of tensors in memory, and their values -------------------------------------------------
# session fixtures, since hypothesis runs one test many times


@pytest.fixture(scope="session")
def task_of() -> Callable[[Any], Task]:
    """Make a load task of a tensor or of nested lists."""
    return _task_of


@pytest.fixture(scope="session")
def whole() -> Evaluate:
    """Evaluate a task on whole tensors: `whole(task)`."""

    def evaluate(task: Task) -> torch.Tensor:
        return _values(task, _apply)[task.key].reshape(task.spec.shape)

    return evaluate


@pytest.fixture(scope="session")
def in_strips() -> Evaluate:
    """Evaluate a task by its folds, strip by strip: `in_strips(task, 8)`."""

    def evaluate(task: Task, step: int) -> torch.Tensor:

        def apply(each: Task, inputs: list[torch.Tensor]) -> torch.Tensor:
            return _apply_in_strips(each, inputs, step)

        return _values(task, apply)[task.key].reshape(task.spec.shape)

    return evaluate


@pytest.fixture(scope="session")
def executed() -> Evaluate:
    """Evaluate a task as a run does: `executed(task, budget=2**30, threads=1)`."""

    def evaluate(task: Task, *, budget: int = 2**30, threads: int = 1) -> torch.Tensor:
        plan = plan_of([Output(Path("memory"), "value", task)], [])
        sink = _Memory(torch.empty(task.spec.numel, dtype=getattr(torch, task.spec.dtype)))
        execute(make_schedule(plan, budget=budget, threads=threads), [sink])
        return sink.tensor.reshape(task.spec.shape)

    return evaluate


@pytest.fixture(scope="session")
def merge_task() -> Callable[..., Task]:
    """Apply a method to tensors or tasks: `merge_task(ties, base, models, density=0.5)`.

    What is not given has its default; a number stands for every model's.
    """
    return _merge_task


@pytest.fixture(scope="session")
def merge(whole: Evaluate) -> Evaluate:
    """Apply a method to tensors and evaluate it whole: `merge(linear, None, [a, b])`."""
    return lambda *given, **values: whole(_merge_task(*given, **values))


@pytest.fixture(scope="session")
def merge_model(whole: Evaluate) -> Callable[..., list[torch.Tensor]]:
    """Apply a method to whole models, lists of tensors: `merge_model(pcb, base, models, ratio=1)`.

    `about` has what is known of each tensor; other values are those of all of them.
    """

    def merge(
        method: Method, base: list[Any], models: list[list[Any]], **values: Any
    ) -> list[torch.Tensor]:
        about = values.pop("about", [About()] * len(base))
        given = _given_values(method, len(models), values)
        requests = [
            Request(_as_task(base[i]), [_as_task(each[i]) for each in models], given, about[i])
            for i in range(len(base))
        ]
        surveyed = method.surveyed(requests)
        return [
            whole(method(each.base, each.models, about=each.about, survey=found, **each.values))
            for each, found in zip(requests, surveyed, strict=True)
        ]

    return merge


@pytest.fixture(scope="session")
def draw_model_family() -> Callable[..., tuple[list[torch.Tensor], list[list[torch.Tensor]]]]:
    """Let hypothesis draw a base and models of some tensors each; many entries may be equal."""

    def draw(
        data: st.DataObject, *, fewest: int = 1, most: int = 4
    ) -> tuple[list[torch.Tensor], list[list[torch.Tensor]]]:
        shapes = data.draw(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=4))
        count = data.draw(st.integers(fewest, most), label="models")
        is_coarse = data.draw(st.booleans(), label="coarse")
        generator = torch.Generator().manual_seed(data.draw(st.integers(0, 2**32), label="seed"))

        def tensors() -> list[torch.Tensor]:
            drawn = [torch.randn(shape, generator=generator) for shape in shapes]
            return [each.round() for each in drawn] if is_coarse else drawn

        base = tensors()
        changed = [
            [own + change for own, change in zip(base, tensors(), strict=True)]
            for _ in range(count)
        ]
        return base, changed

    return draw


@pytest.fixture(scope="session")
def draw_family() -> Callable[..., tuple[torch.Tensor, list[torch.Tensor]]]:
    """Let hypothesis draw a base and models of one shape: `draw_family(data, fewest=2)`.

    Changes are small whole numbers half of the time, so that many are equal, and many zero.
    """

    def draw(
        data: st.DataObject, *, fewest: int = 1, most: int = 4
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        shape = data.draw(st.sampled_from(SHAPES), label="shape")
        count = data.draw(st.integers(fewest, most), label="models")
        is_coarse = data.draw(st.booleans(), label="coarse")
        generator = torch.Generator().manual_seed(data.draw(st.integers(0, 2**32), label="seed"))
        base = torch.randn(shape, generator=generator)
        base = base.round() if is_coarse else base
        changes = [torch.randn(shape, generator=generator) for _ in range(count)]
        return base, [base + (each.round() if is_coarse else each) for each in changes]

    return draw


@pytest.fixture(scope="session")
def draw_weights() -> Callable[..., list[float]]:
    """Let hypothesis draw a weight for each model: `draw_weights(data, 3)`, positive if asked.

    They are exact in binary, so that what cancels, cancels in any precision.
    """

    def draw(data: st.DataObject, count: int, *, positive: bool = False) -> list[float]:
        weights = [0.25, 0.5, 1.0, 1.5] if positive else [0.0, 0.5, 1.0, 2.0, -0.25, -1.0]
        return data.draw(st.lists(st.sampled_from(weights), min_size=count, max_size=count))

    return draw


class _Memory:
    """A sink in memory."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor

    def write(self, start: int, strip: torch.Tensor) -> None:
        self.tensor[start : start + strip.numel()] = strip

    def finish(self, digest: str) -> None:
        pass


def _task_of(values: Any) -> Task:
    tensor = _tensor(values).contiguous()
    spec = Spec.of(tensor)
    content = tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
    identity = f"{spec} {sha256(content).hexdigest()}"
    return load(entry=MemoryEntry(tensor, spec, identity))


def _merge_task(method: Method, base: Any, models: list[Any], **values: Any) -> Task:
    about = values.pop("about", About())
    given = _given_values(method, len(models), values)
    base = None if base is None else _as_task(base)
    return method(base, [_as_task(each) for each in models], about=about, **given)


def _given_values(method: Method, count: int, values: dict[str, Any]) -> dict[str, Any]:
    """A value for every parameter of a method, and the seeds if it draws."""
    given = {}
    for name, parameter in method.parameters.items():
        value = values.pop(name, 1.0 if parameter.required else parameter.default)
        spread = parameter.per_model and not isinstance(value, list)
        given[name] = [value] * count if spread else value
    if method.draws:
        given["seeds"] = values.pop("seeds", list(range(count)))
    assert not values, f"{method.name} has no parameter {values}"
    return given


def _as_task(value: Any) -> Task:
    return value if isinstance(value, Task) else _task_of(value)


def _values(
    task: Task, apply: Callable[[Task, list[torch.Tensor]], torch.Tensor]
) -> dict[str, torch.Tensor]:
    """The values of a task and of all that it stands on: big ones flat, small ones whole."""
    values: dict[str, torch.Tensor] = {}
    for each in walk(task):
        values[each.key] = apply(each, [values[given.key] for given in each.inputs])
    return values


def _apply(
    task: Task, inputs: list[torch.Tensor], start: int = 0, *, raw: bool = False
) -> torch.Tensor:
    """A kernel on what its cut says: tensors flat, in rows or as they are; small ones whole."""
    op = task.op
    if op.cut == "load":
        return Reader({}).read(task.numbers["entry"], 0, task.spec.numel, rows=task.numbers["rows"])
    given = [
        tensor if each.is_small or each.is_scan else _cut(tensor, each.spec, task, start)
        for each, tensor in zip(task.inputs, inputs, strict=True)
    ]
    position = {"start": start} if op.positioned else {}
    result = op.kernel(*given, **task.numbers, **position)
    if op.cut == "fold" and not raw:
        result = op.finish(result)
    if op.cut == "scan" and not raw:  # before the first strip, which is all there is
        result = torch.zeros_like(result)
    return result if task.is_small or task.is_scan else result.reshape(-1)


def _cut(tensor: torch.Tensor, spec: Spec, task: Task, start: int) -> torch.Tensor:
    """A flat input as a kernel is to be handed it."""
    if task.op.cut == "rowwise":
        return tensor.reshape(tensor.numel() // max(1, spec.row), spec.row)
    if task.op.cut == "whole":
        return tensor.reshape(spec.shape)
    return tensor[: task.spec.numel - start] if task.op.cut == "pointwise" else tensor


def _apply_in_strips(task: Task, inputs: list[torch.Tensor], step: int) -> torch.Tensor:
    """The same, some entries at a time; of rowwise ops, some rows."""
    if task.op.cut in ("load", "whole") or all(each.is_small for each in task.inputs):
        return _apply(task, inputs)
    big = next(each.spec for each in task.inputs if not each.is_small)
    if task.op.cut == "rowwise":
        step = max(1, step // max(1, big.row)) * max(1, big.row)
    pieces = []
    end = big.numel if task.op.gathers else task.spec.numel
    for start in range(0, max(1, end), step):
        given = [
            _of_strip(each, tensor, start, step)
            for each, tensor in zip(task.inputs, inputs, strict=True)
        ]
        pieces.append(_apply(task, given, start, raw=True))
    if task.op.cut == "fold":
        return task.op.finish(reduce(task.op.combine, pieces))
    if task.is_scan:  # one row for every strip: what those before it came to
        return torch.stack(list(accumulate(pieces, task.op.combine, initial=pieces[0] * 0)))
    return torch.cat(pieces)


def _of_strip(task: Task, tensor: torch.Tensor, start: int, step: int) -> torch.Tensor:
    if task.is_scan:
        return tensor[start // step]
    return tensor if task.is_small else tensor[start : start + step]
