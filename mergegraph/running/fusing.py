"""Fused passes: the steps of a pass as programs for the machine of `instructions`.

A pass is one program where all its steps can be told to the machine. What cannot be, and what must
be known of a whole strip before the next step, as scans are, stands between two programs. A program
makes anew what it needs of earlier ones: in the cache that costs less than to keep it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mergegraph.errors import RunError
from mergegraph.instructions import Code, Do
from mergegraph.scheduling.schedule import Pass
from mergegraph.tasks import Task

_LOADED = {"float32": Do.LOAD, "bfloat16": Do.WIDEN}
_STORED = {"float32": Do.STORE, "bfloat16": Do.NARROW}

Small = Callable[[Task], Any]  # the value of a small task


@dataclass
class Segment:
    """A program, what it reads and makes, and the steps that plain kernels do after it.

    `folds` have the first of their counts, `scans` the first of their rows.
    """

    level: int
    code: Code = field(default_factory=Code)
    inputs: list[Task] = field(default_factory=list)
    outputs: list[Task] = field(default_factory=list)
    folds: list[tuple[Task, int]] = field(default_factory=list)
    scans: list[tuple[Task, int]] = field(default_factory=list)
    counts: int = 0
    rows: int = 0
    plain: list[Task] = field(default_factory=list)


def fuse(part: Pass, small: Small) -> tuple[Segment, ...]:
    """The programs of a pass, in order; none where it is not worth it, or cannot be.

    `small` gives values that are known when the pass begins.
    """
    if not any(task.op.code for task in part.steps):
        return ()
    if not all(_is_of_floats(task, part) for task in (*part.held, *part.steps)):
        return ()
    plain: set[str] = set()
    while not any(_needs_telling(task, plain) for task in part.steps):
        found = _Assembly(part, small, plain).segments()
        if found is not None:
            return found
    return ()


def _is_of_floats(task: Task, part: Pass) -> bool:
    """Whether registers can hold a step: floats of the pass's own shape, rounded only by casts."""
    if task.op.gathers:
        return True
    narrow = {each.spec.dtype for each in task.inputs if not each.is_small} - {"float32"}
    is_rounded = task.spec.dtype != "float32" and task.op.code is not None and narrow
    return task.spec.dtype in _LOADED and task.spec.numel == part.grid.numel and not is_rounded


def _is_told(task: Task, plain: Collection[str]) -> bool:
    """Whether an op says what it does, and has not turned out to be one of the plain ones."""
    return task.op.code is not None and task.key not in plain


def _needs_telling(task: Task, plain: Collection[str]) -> bool:
    """Whether a step cannot be done by its kernel between programs: it has to do with a scan."""
    has_scan = any(each.is_scan for each in (task, *task.inputs))
    return has_scan and not _is_told(task, plain)


class _Assembly:
    """Programs in the making."""

    def __init__(self, part: Pass, small: Small, plain: set[str]) -> None:
        self.part = part
        self.small = small
        self.plain = plain
        self.given = {task.key for task in (*part.held, *part.loads)}
        # the number of the program after which each value is known
        self.levels = {task.key: 0 for task in part.held}
        for task in part.steps:
            waits = task.is_scan or not (self._is_told(task) or task.op.cut in ("load", "fold"))
            self.levels[task.key] = self._begins(task) + waits

    def segments(self) -> tuple[Segment, ...] | None:
        """All of them; None if an op turned out not to be told, which is noted in `plain`."""
        made = []
        for level in range(1 + max(self.levels.values())):
            segment = self._segment(level)
            if segment is None:
                return None
            made.append(segment)
        return tuple(made)

    def _is_told(self, task: Task) -> bool:
        return _is_told(task, self.plain)

    def _begins(self, task: Task) -> int:
        """The number of the first program that finds all that a step is made of."""
        return max((self.levels[each.key] for each in task.inputs if not each.is_small), default=0)

    def _is_leaf(self, task: Task) -> bool:
        """Whether a program finds the entries of a task ready."""
        return task.key in self.given or not (self._is_told(task) or task.op.cut == "fold")

    def _segment(self, level: int) -> Segment | None:
        segment = Segment(level)
        targets = list(self._targets(level, segment))
        order = self._needed(targets)
        return segment if self._emit(segment, order) else None

    def _targets(self, level: int, segment: Segment) -> Iterator[Task]:
        """What a segment is there for."""
        wanted = {*self.part.writes, *(task.key for task in self.part.keeps)}
        steps = [task for task in self.part.steps if task.key not in self.given]
        for task in steps:
            if not self._is_told(task):
                wanted.update(each.key for each in task.inputs)
                segment.plain += [task] if self._begins(task) == level else []
            elif task.op.gathers and self._begins(task) == level:
                yield task
        for task in steps:
            is_strip = self._is_told(task) and not task.op.gathers
            if is_strip and task.key in wanted and self.levels[task.key] == level:
                segment.outputs.append(task)
                yield task

    def _needed(self, targets: Sequence[Task]) -> list[Task]:
        """The targets and all that they are made of, down to leaves, in the order of the steps."""
        wanted: set[str] = set()
        stack = list(targets)
        while stack:
            task = stack.pop()
            if task.key not in wanted:
                wanted.add(task.key)
                if not self._is_leaf(task):
                    stack += [e for e in task.inputs if not e.is_small and not e.is_scan]
        return [task for task in (*self.part.held, *self.part.steps) if task.key in wanted]

    def _emit(self, segment: Segment, order: Sequence[Task]) -> bool:
        """Write the program; False, and the op noted, if one cannot be told after all."""
        users = Counter(e.key for task in order if not self._is_leaf(task) for e in task.inputs)
        registers = _Registers(segment.code, users)
        for task in order:
            if self._is_leaf(task):
                register = registers.take(task)
                segment.code.do(_LOADED[task.spec.dtype], register, len(segment.inputs))
                segment.inputs.append(task)
                continue
            out = self._room(segment, task) if task.op.gathers else registers.take(task)
            said = self._tell(segment, task, out, registers)
            if said is NotImplemented:
                self.plain.add(task.key)
                return False
            if said is not None and not task.op.gathers:  # a register that has the value
                registers.share(task, said)
            if task in segment.outputs:
                number = segment.outputs.index(task)
                segment.code.do(_STORED[task.spec.dtype], registers[task], number)
            registers.release(task.inputs)
        return True

    def _tell(self, segment: Segment, task: Task, out: int, registers: _Registers) -> Any:
        """Have an op say what it does; gives what its code gives."""
        operands = [
            self.small(e) if e.is_small else e.key if e.is_scan else registers[e]
            for e in task.inputs
        ]
        assert task.op.code is not None
        try:
            return task.op.code(segment.code, out, *operands, **task.numbers)
        except Exception as error:
            raise RunError(f"{task.op.name}: {type(error).__name__}: {error}") from error

    def _room(self, segment: Segment, task: Task) -> int:
        """Where the counts of a fold, or the ties of a scan, start."""
        if task.is_scan:
            segment.scans.append((task, segment.rows))
            segment.rows += task.spec.numel
            return segment.rows - task.spec.numel
        segment.folds.append((task, segment.counts))
        segment.counts += task.spec.numel
        return segment.counts - task.spec.numel


class _Registers:
    """Which register has the value of which task; one that nobody needs any more is free."""

    def __init__(self, code: Code, users: Mapping[str, int]) -> None:
        self._code = code
        self._left = Counter(users)
        self._of: dict[str, int] = {}
        self._holders: Counter[int] = Counter()

    def __getitem__(self, task: Task) -> int:
        return self._of[task.key]

    def take(self, task: Task) -> int:
        """A register for a task's value."""
        self._of[task.key] = self._code.register()
        self._holders[self._of[task.key]] += 1
        return self._of[task.key]

    def share(self, task: Task, register: int) -> None:
        """A task has the value that is in a register already."""
        self._let_go(task.key)
        self._of[task.key] = register
        self._holders[register] += 1

    def release(self, used: Iterable[Task]) -> None:
        """Some values were used once more; those that nobody waits for are let go."""
        self._left.subtract(each.key for each in used)
        for key in [key for key in self._of if self._left[key] <= 0]:
            self._let_go(key)

    def _let_go(self, key: str) -> None:
        register = self._of.pop(key)
        self._holders[register] -= 1
        if not self._holders[register]:
            self._code.free(register)
