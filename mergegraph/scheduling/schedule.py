"""The schedule: a plan as a straight line of passes, with its peak in bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from mergegraph.errors import MergeGraphError
from mergegraph.findings import Check
from mergegraph.plans import Output, Plan
from mergegraph.portions import Portion, divide
from mergegraph.scheduling.fitting import Design, Fit, Fitted, Line, Reserve, design_of, nothing
from mergegraph.scheduling.forms import PassForm, structure
from mergegraph.scheduling.known import useful
from mergegraph.strips import Grid
from mergegraph.tasks import Op, Task

TOGETHER_ON_CPU = 4  # more strips at once leave the caches, fewer wait for the interpreter
TOGETHER_ON_DEVICE = 64
_NO_WRITES: Mapping[str, tuple[int, ...]] = MappingProxyType({})
_NOTHING_KNOWN: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Pass:
    """Some tensors read once, strip by strip, and everything that is made of them on the way.

    `steps` are computed for each strip in order, folds among them; `ends` tells for each step
    whose strips, by the steps' numbers, nobody needs after it. `held` are sliced from the store. Of
    both, `writes` go to outputs, by their numbers, and `keeps` to the store. `then` are computed
    once after the last strip; `frees` leave the store after that.
    """

    grid: Grid
    steps: tuple[Task, ...]
    ends: tuple[tuple[int, ...], ...]
    held: tuple[Task, ...]
    writes: Mapping[str, tuple[int, ...]]
    keeps: tuple[Task, ...]
    then: tuple[Task, ...]
    frees: tuple[str, ...]

    @property
    def drops(self) -> Iterator[tuple[str, ...]]:
        """For each step the keys of the strips that nobody needs after it."""
        return (tuple(self.steps[i].key for i in ended) for ended in self.ends)

    @property
    def loads(self) -> tuple[Task, ...]:
        """The tasks that read inputs."""
        return tuple(task for task in self.steps if task.op.cut == "load")

    @property
    def folds(self) -> tuple[Task, ...]:
        """The tasks that gather small values over all strips."""
        return tuple(task for task in self.steps if task.op.cut == "fold")


@dataclass(frozen=True, slots=True)
class Unit:
    """Passes that run one after another, and the most that their values take in the store.

    It starts when the units it `needs` are done; from there on it waits for nobody. Of values that
    other units make it `borrows` some, until it is done; so many bytes it `lends` to later ones.
    """

    passes: tuple[Pass, ...]
    nbytes: int
    needs: tuple[int, ...]
    borrows: tuple[Task, ...]
    lends: int


@dataclass(frozen=True)
class Schedule:
    """Units in the order in which they are admitted, and the checks made on the way.

    `read_nbytes` counts what is read from inputs each time it is read, `work` what is computed, in
    entries that kernels allocate. `room` is what values in the store may take; with the strips that
    `threads` workers have in hand it makes up `peak_nbytes`, which is within `budget`. Values that
    are `given`, by their keys, are to be in the store before the first pass.
    """

    outputs: tuple[Output, ...]
    units: tuple[Unit, ...]
    checks: tuple[Check, ...]
    threads: int
    room: int
    peak_nbytes: int
    read_nbytes: int
    work: int
    budget: int
    line: Line
    given: frozenset[str] = frozenset()

    @property
    def passes(self) -> Iterator[Pass]:
        """Every pass, in order."""
        return (each for unit in self.units for each in unit.passes)

    @property
    def ops(self) -> frozenset[Op]:
        """Every op that is used."""
        return frozenset().union(*(design.ops for design in self.line.designs))

    @property
    def written_nbytes(self) -> int:
        """Bytes of all output tensors."""
        return sum(output.task.spec.nbytes for output in self.outputs)

    def at(self, budget: int) -> Fit:
        """What the same work would take in another budget."""
        return self.line.fit(budget)


def make_schedule(
    plan: Plan,
    *,
    budget: int,
    threads: int = 1,
    together: int = TOGETHER_ON_CPU,
    reserve: Reserve = nothing,
    done: Collection[tuple[str, str]] = (),
    known: Mapping[str, int] = _NOTHING_KNOWN,
) -> Schedule:
    """Put a plan in order so that it runs within `budget` bytes.

    Workers take up to `together` strips at once, as many as there is room for; `reserve` says how
    much of a budget is for other things.

    Outputs named in `done`, as (directory, tensor), exist already and are left out. Of small values
    that are `known`, by their keys and with their bytes, those that are of use are not computed
    again. Raises MergeGraphError with the bytes that are needed if no order fits.
    """
    outputs = tuple(each for each in plan.outputs if (str(each.directory), each.name) not in done)
    roots = [each.task for each in outputs]
    portions, checks, given = plan.portions, plan.checks, useful(known, roots)
    if given or len(outputs) < len(plan.outputs):
        portions, checks = divide(roots, checks, given)
    designs = _designs(portions, roots)
    held = sum(known[key] for key in given)
    line = Line(Counter(designs), threads, together, lambda budget: reserve(budget) + held)
    fit = line.fit(budget)
    if given and not fit.is_within:  # known values are a help, if there is room for them
        return make_schedule(
            plan, budget=budget, threads=threads, together=together, reserve=reserve, done=done
        )
    if not fit.is_within:
        raise MergeGraphError(_too_large(fit, outputs, portions, designs))
    return Schedule(
        outputs=outputs,
        units=tuple(_units(portions, designs, fit)),
        checks=checks,
        threads=fit.threads,
        room=fit.room,
        peak_nbytes=fit.peak_nbytes,
        read_nbytes=fit.read_nbytes,
        work=fit.work,
        budget=budget,
        line=line,
        given=given,
    )


def _designs(portions: Sequence[Portion], roots: Sequence[Task]) -> list[Design]:
    """The design of each portion: one for all of equal structure."""
    known: dict[object, Design] = {}
    designs = []
    for portion in portions:
        own = [roots[number] for number in portion.outputs]
        found = structure(portion, own)
        design = known.get(found)  # one look-up: it takes as long as all else here
        if design is None:
            design = known[found] = design_of(portion, own)
        designs.append(design)
    return designs


def _units(portions: Sequence[Portion], designs: Sequence[Design], fit: Fit) -> Iterator[Unit]:
    """The units of all portions, one portion after the other."""
    known: dict[Design, Fitted] = {}
    first = 0
    for portion, design in zip(portions, designs, strict=True):
        if design not in known:
            known[design] = design.within(fit.allowance)
        fitted = known[design]
        for unit, form in zip(fitted.units, fitted.forms, strict=True):
            yield Unit(
                passes=tuple(_pass(each, portion, fit.together) for each in form.passes),
                nbytes=form.nbytes,
                needs=tuple(first + number for number in unit.needs),
                borrows=tuple(portion.tasks[place] for place in unit.borrows),
                lends=unit.lends,
            )
        first += len(fitted.units)


def _pass(form: PassForm, portion: Portion, together: int) -> Pass:
    """A pass over the tasks of one portion."""
    task = portion.tasks.__getitem__
    writes = {
        task(place).key: tuple(portion.outputs[number] for number in numbers)
        for place, numbers in form.writes
    }
    return Pass(
        grid=replace(form.grid, together=together),
        steps=tuple(map(task, form.steps)),
        ends=form.ends,
        held=tuple(map(task, form.held)),
        writes=writes or _NO_WRITES,
        keeps=tuple(map(task, form.keeps)),
        then=tuple(map(task, form.then)),
        frees=tuple(task(place).key for place in form.frees),
    )


def _too_large(
    fit: Fit, outputs: Sequence[Output], portions: Sequence[Portion], designs: Sequence[Design]
) -> str:
    units = _units(portions, designs, fit)
    unit = max(units, key=lambda each: each.nbytes)
    numbers = [i for each in unit.passes for written in each.writes.values() for i in written]
    what = f", most of it for {outputs[numbers[0]].name}" if numbers else ""
    needed = -(-fit.peak_nbytes // 2**20)
    return (
        f"the merge takes {needed} MiB of memory{what}, and the budget is {fit.budget // 2**20} "
        f"MiB; allow it --memory {needed}MiB"
    )
