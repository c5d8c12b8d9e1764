"""Settings: how a plan is to be run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec

from mergegraph.errors import MergeGraphError
from mergegraph.machine import free_memory, parse_size, usable_cores
from mergegraph.plans import Directory, Plan
from mergegraph.running.places import has_accelerator
from mergegraph.running.reading import Reading, make_reading
from mergegraph.running.windows import windows_nbytes
from mergegraph.scheduling.fitting import Reserve
from mergegraph.scheduling.schedule import TOGETHER_ON_CPU, Schedule

SHARD_SIZE = "5GB"
_COMPILER_NBYTES = 128 * 2**20  # memory that numba takes
_FIRST_NBYTES = 256 * 2**20  # of a budget, which are not for the compiler
BUDGET_OF_COMPILER = _FIRST_NBYTES + _COMPILER_NBYTES  # from which on it has all that it takes
_LARGE = 400 * 10**6  # entries of results, below which compiling is never worth it
WORTH_COMPILING = 40 * 10**9  # work of a schedule; with less, compiling takes longer than it saves


@dataclass(frozen=True)
class Settings:
    """How a plan is to be run; every default depends on the machine alone."""

    memory: str | int | None = None
    threads: int | None = None
    device: str = "auto"
    seed: int | None = None
    shard_size: str | int = SHARD_SIZE
    overrides: tuple[str, ...] = ()
    stream: bool = False

    @property
    def budget(self) -> int:
        """The memory budget in bytes: half of what is free, unless stated."""
        return free_memory() // 2 if self.memory is None else parse_size(self.memory, "--memory")

    @property
    def workers(self) -> int:
        """The number of threads: the cores this process may use, unless stated."""
        if self.threads is not None and self.threads < 1:
            raise MergeGraphError(f"--threads {self.threads}: at least one is needed")
        return self.threads or usable_cores()

    def check(self) -> None:
        """Raise MergeGraphError if a setting cannot be met."""
        if self.device not in ("auto", "cpu", "cuda"):
            raise MergeGraphError(f"--device {self.device}: not one of auto, cpu, cuda")
        if self.is_on_device and not has_accelerator():
            raise MergeGraphError("--device cuda: torch finds no CUDA device here; use auto or cpu")

    @property
    def is_on_device(self) -> bool:
        """Whether strips are computed on an accelerator: only if asked for, as bytes may differ."""
        return self.device == "cuda"

    def may_compile(self, plan: Plan) -> bool:
        """Whether a plan is so large that compiling may be worth it, and there is a compiler."""
        is_large = sum(each.task.spec.numel for each in plan.outputs) >= _LARGE
        return is_large and not self.is_on_device and has_compiler()

    def reserve(self, plan: Plan, *, may_compile: bool | None = None) -> Reserve:
        """What a run takes of a budget besides the plan: the compiler, and reading ahead."""
        if may_compile is None:
            may_compile = self.may_compile(plan)

        def reserved(budget: int) -> int:
            ahead = self.ahead_nbytes(plan, budget)
            return ahead + (compiler_nbytes(budget - ahead) if may_compile else 0)

        return reserved

    def is_compiled(
        self, plan: Plan, schedule: Schedule, *, may_compile: bool | None = None
    ) -> bool:
        """Whether kernels are compiled: there is room, and enough to do, unless that is given."""
        if may_compile is None:
            may_compile = self.may_compile(plan) and schedule.work >= WORTH_COMPILING
        left = schedule.budget - self.ahead_nbytes(plan, schedule.budget)
        return may_compile and left >= BUDGET_OF_COMPILER

    def reading(
        self,
        plan: Plan,
        *,
        budget: int | None = None,
        together: int = TOGETHER_ON_CPU,
        may_compile: bool | None = None,
        unfinished: Sequence[Directory] = (),
    ) -> Reading:
        """A plan whose outputs stay in memory, to be read in the budget, or in one that is given.

        Whether it is large enough for the compiler is told by the plan, unless it is given. Raises
        MergeGraphError if the plan does not fit.
        """
        made = make_reading(
            plan,
            budget=self.budget if budget is None else budget,
            threads=self.workers,
            together=together,
            reserve=self.reserve(plan, may_compile=may_compile),
            is_streamed=self.stream,
            unfinished=unfinished,
        )
        is_compiled = self.is_compiled(plan, made.schedule, may_compile=may_compile)
        return replace(made, is_compiled=is_compiled)

    def ahead_nbytes(self, plan: Plan, budget: int) -> int:
        """What reading ahead takes of a budget, if files are read where they are."""
        is_far = any(not each.checkpoint.tree.is_local for each in plan.accounts)
        return windows_nbytes(budget) if self.stream and is_far else 0


def compiler_nbytes(budget: int) -> int:
    """What the compiler may have of a budget: of a larger one more, but the plan never less."""
    return min(_COMPILER_NBYTES, max(0, budget - _FIRST_NBYTES))


def has_compiler() -> bool:
    """Whether the extra `fast` is installed."""
    return find_spec("numba") is not None
