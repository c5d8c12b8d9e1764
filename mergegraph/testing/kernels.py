"""Whether ops keep their word: pure, repeatable, cut as declared, of the shape inferred."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any, NoReturn

import numpy as np
import torch

from mergegraph.spec import Spec
from mergegraph.tasks import Op, Task, walk
from mergegraph.testing.evaluation import constant

SHAPES = ((12, 20), (131,), (3, 4, 5), (1,))
_SOME = 3  # tensors for a kernel that takes any number
_FEW = (1, 2, 5, 16, 37)  # where tensors are cut: single entries, odd lengths, long rests
_ROUNDING = 1e-9  # sums in float64 that differ by their order alone are closer than this


class ConformanceError(AssertionError):
    """An op or a method does not keep its word; the text says how."""


def check_op(op: Op, *inputs: Any, **numbers: Any) -> None:
    """Check that an op keeps its word; raises ConformanceError if not.

    Its inputs are tensors or tasks; of `small(tensor)` it is handed the whole, of others strips.
    Without any it is tried on random tensors of several shapes.
    """
    given = [tuple(map(_as_task, inputs))] if inputs else list(_made_up(op))
    for tasks in given:
        check_tasks([op(*tasks, **numbers)], set())


def check_tasks(roots: Sequence[Task], seen: set[str]) -> None:
    """Check the op of every task, on the values it has here, but for those `seen` before."""
    values = whole_values(*roots)
    for task in walk(*roots):
        specs = ", ".join(str(each.spec) for each in task.inputs)
        known = f"{task.op.name}({specs}) {dict(task.numbers)}"
        if task.op.cut != "load" and known not in seen:
            seen.add(known)
            _Trial(task, [values[each.key] for each in task.inputs]).check()


def whole_values(*roots: Task) -> dict[str, Any]:
    """The value of every task below the roots, each computed in one piece, by key.

    That of a scan is what its strips before a start came to, as a function of the start.
    """
    values: dict[str, Any] = {}
    for task in walk(*roots):
        if task.op.cut == "load":
            values[task.key] = task.numbers["entry"].read(0, task.spec.numel)
        else:
            trial = _Trial(task, [values[each.key] for each in task.inputs])
            whole = trial.before if task.is_scan else trial.finished(trial.call(0, trial.end))
            values[task.key] = whole
    return values


def random_tensor(shape: Sequence[int], seed: int) -> Any:
    """Normal entries, as coarse as weights in bfloat16 so that some are equal."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(tuple(shape), generator=generator).bfloat16().float()


def same_bits(first: Any, second: Any) -> bool:
    """Whether two tensors are equal to the last bit, NaN included."""
    if first.shape != second.shape or first.dtype != second.dtype:
        return False
    return torch.equal(*(each.reshape(-1).view(torch.uint8) for each in (first, second)))


@dataclass(frozen=True)
class _Trial:
    """A task, and the values of its inputs to try its kernel on."""

    task: Task
    values: Sequence[Any]

    @property
    def is_cut(self) -> bool:
        """Whether the kernel is handed strips."""
        return self.task.op.cut != "whole" and any(not each.is_small for each in self.task.inputs)

    @property
    def end(self) -> int:
        """Where the last strip ends."""
        big = [each.spec.numel for each in self.task.inputs if not each.is_small]
        return big[0] if self.task.op.gathers and self.is_cut else self.task.spec.numel

    def check(self) -> None:
        """Raise ConformanceError at the first promise that is not kept."""
        value = self.call(0, self.end)
        again = self.call(0, self.end)
        self.check_result(self.finished(value))
        if not same_bits(value, again):
            self.fail("gives different results for the same input; it must depend on nothing else")
        if _share(value, again):
            self.fail("gives the same memory at every call; threads would write over each other")
        if self.is_cut:
            self.check_cut(value)
        if self.task.op.fast is not None:
            self.check_fast(value)
        for number in range(min(self.task.op.carries, len(self.values))):
            self.check_carried(number)

    def before(self, start: int) -> Any:
        """What a scan came to before a strip."""
        zeros = torch.zeros(self.task.spec.shape, dtype=getattr(torch, self.task.spec.dtype))
        return self.task.op.combine(zeros, self.call(0, start)) if start else zeros

    def call(self, start: int, stop: int) -> Any:
        """The kernel on the entries from start to stop, watched for what it must not do."""
        given = self.given(start, stop)
        before = [each.clone() for each in given]
        value = self.run(given, start)
        if not isinstance(value, torch.Tensor):
            self.fail(f"gave {type(value).__name__}, not a tensor")
        stays = not self.is_cut or self.task.op.gathers
        for i, (now, then) in enumerate(zip(given, before, strict=True), 1):
            if not same_bits(now, then):
                self.fail(f"writes to its input {i}; it must leave its inputs as they were")
            if stays and _share(value, now):
                self.fail(f"gives a view of its input {i}, which then stays in memory; clone it")
        return value

    def given(self, start: int, stop: int) -> list[Any]:
        """What the kernel is handed for a strip, in memory of its own."""
        strips = []
        for task, value in zip(self.task.inputs, self.values, strict=True):
            if task.is_scan:
                strips.append(value(start))
                continue
            if task.is_small or not self.is_cut:
                strips.append((value if task.is_small else value.reshape(task.spec.shape)).clone())
                continue
            strip = value.reshape(-1)[start:stop].clone()
            by_rows = self.task.op.cut == "rowwise"
            strips.append(strip.reshape(-1, self.task.spec.row) if by_rows else strip)
        return strips

    def run(self, given: Sequence[Any], start: int, kernel: Any = None) -> Any:
        """The kernel as it is, but for global generators: it may not draw from them."""
        states = _generator_states()
        position = {"start": start} if self.task.op.positioned else {}
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            value = (kernel or self.task.op.kernel)(*given, **self.task.numbers, **position)
            drawn = _generator_states() != states
        if drawn:
            self.fail("draws from a global random generator; draw from one made of a seed instead")
        return value

    def finished(self, value: Any) -> Any:
        """What a fold makes of the merged results of its strips."""
        return self.task.op.finish(value) if self.task.op.cut == "fold" else value

    def check_result(self, value: Any) -> None:
        """The result is of the shape and dtype that `infer` said; of strips the length counts."""
        found = Spec.of(value)
        wanted = self.task.spec
        is_strip = self.is_cut and not self.task.op.gathers
        shapes_fit = found.numel == wanted.numel if is_strip else found.shape == wanted.shape
        if not shapes_fit or found.dtype != wanted.dtype:
            self.fail(f"gave {found} where infer says {wanted}")

    def check_cut(self, value: Any) -> None:
        """Strips together give what the whole gives."""
        step = self.task.spec.row if self.task.op.cut == "rowwise" else 1
        ends = [each * step for each in _FEW if each * step < self.end]
        bounds = list(zip([0, *ends], [*ends, self.end], strict=True))
        parts = [self.call(*each) for each in bounds]
        if self.task.op.gathers:
            self.check_gathered(value, parts)
            return
        for part, (start, stop) in zip(parts, bounds, strict=True):
            if part.numel() != stop - start:
                self.fail(f"gave {part.numel()} entries for a strip of {stop - start}")
            if not same_bits(part.reshape(-1), value.reshape(-1)[start:stop]):
                self.fail(self.told_of(part.reshape(-1), value.reshape(-1)[start:stop], start))

    def check_gathered(self, value: Any, parts: Sequence[Any]) -> None:
        """Combined, the strips' results are the whole's; those of folds but for rounding."""
        total = parts[0]
        for part in parts[1:]:
            total = self.task.op.combine(total, part)
        total, value = self.finished(total), self.finished(value)
        self.check_result(total)
        if self.task.is_scan and not same_bits(total, value):
            self.fail("is said to be a scan, but its strips combined are not just the whole")
        if not torch.allclose(total.double(), value.double(), _ROUNDING, _ROUNDING, equal_nan=True):
            far = (total.double() - value.double()).abs().max().item()
            self.fail(
                f"is said to be a fold, but its strips combined are {far:.3g} off the whole; "
                "accumulate in float64, and see that combine joins two strips"
            )

    def check_fast(self, value: Any) -> None:
        """The faster kernel comes to the same bits; where it cannot be made there is none."""
        assert self.task.op.fast is not None
        try:
            kernel = self.task.op.fast()
        except ImportError:
            return
        if not same_bits(self.run(self.given(0, self.end), 0, kernel), value):
            self.fail("its fast kernel gives other bits than the plain one")

    def check_carried(self, number: int) -> None:
        """What is NaN or infinite in an input that it carries is so in the result, too."""
        for broken in (float("nan"), float("inf"), -float("inf")):
            given = self.given(0, self.end)
            entries = given[number].reshape(-1)
            if not (len(entries) and entries.is_floating_point()):
                return
            entries[len(entries) // 2] = broken
            is_told = bool(entries[len(entries) // 2].float().isfinite())  # bytes have no infinity
            if not is_told and self.run(given, 0).float().isfinite().all():
                told = f"is said to carry its first {self.task.op.carries} inputs"
                self.fail(f"{told}, and {broken} in input {number + 1} gets lost; declare fewer")

    def told_of(self, part: Any, whole: Any, start: int) -> str:
        changed = [i for i in range(len(part)) if not same_bits(part[i], whole[i])]
        here, there = part[changed[0]].item(), whole[changed[0]].item()
        return (
            f"is said to be {self.task.op.cut}, but entry {start + changed[0]} is {here:g} on a "
            f"strip and {there:g} on the whole tensor; declare another cut"
        )

    def fail(self, fact: str) -> NoReturn:
        raise ConformanceError(f"{self.task.op.name.rpartition('.')[2]}: {fact}")


def _as_task(value: Any) -> Task:
    return value if isinstance(value, Task) else constant(value)


def _made_up(op: Op) -> Iterator[tuple[Task, ...]]:
    """Inputs of every shape: as many as the kernel takes."""
    places = [p for p in signature(op.kernel).parameters.values() if p.kind is not p.KEYWORD_ONLY]
    takes_any = any(each.kind is each.VAR_POSITIONAL for each in places)
    count = max(_SOME, len(places)) if takes_any else len(places)
    for shape in SHAPES:
        yield tuple(constant(random_tensor(shape, seed)) for seed in range(count))


def _share(first: Any, second: Any) -> bool:
    """Whether two tensors lie in the same memory."""
    places = {each.untyped_storage().data_ptr() for each in (first, second)}
    return first.numel() > 0 and len(places) == 1


def _generator_states() -> tuple[Any, ...]:
    """What a draw from the global generators of torch, numpy and Python would change."""
    found = np.random.get_state(legacy=False)["state"]
    torch_state = torch.get_rng_state().numpy().tobytes()
    return torch_state, found["key"].tobytes(), found["pos"], random.getstate()
