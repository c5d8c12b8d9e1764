"""Fitting: how much the units of a plan may keep, and how many may work at once, in a budget."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import accumulate

from mergegraph.portions import Portion
from mergegraph.scheduling.drafts import (
    Draft,
    Place,
    Route,
    Standing,
    make_drafts,
    make_units,
    origins,
    trace,
)
from mergegraph.scheduling.forms import TOGETHER, Places, UnitForm
from mergegraph.scheduling.keeping import choices, homes_of, worth_keeping
from mergegraph.tasks import Op, Task

# what a unit may take to read less, from much to nothing: the first that fits is taken, so that
# larger budgets never read more
_ALLOWANCES = (*(int(2 ** (20 + step / 4)) for step in range(96, -1, -1)), 0)


_SHARES = 6  # of what units may keep for one another: none, a sixth and so on is tried
_UNLIMITED = 2**62

Reserve = Callable[[int], int]  # bytes of a budget that are not for the plan


@dataclass(frozen=True)
class Unit:
    """A unit of a design: the forms that it may have, and how it stands to the others.

    `needs` are the units of its portion that must be done before it, `borrows` the values that it
    takes from them, `lends` the bytes of those that it makes for later ones, `returns` the bytes of
    those that nobody needs after it.
    """

    forms: tuple[UnitForm, ...]
    needs: tuple[int, ...]
    borrows: Places
    lends: int
    returns: int

    def within(self, allowance: int) -> UnitForm:
        """The form that reads least and takes no more than is allowed, or than it must.

        Of forms that read the same the one that computes least is taken, and then the smallest.
        """
        return min(
            (form for form in self.forms if form.nbytes <= allowance),
            key=lambda form: (form.read_nbytes, form.work, form.nbytes),
            default=self.forms[0],
        )


@dataclass(frozen=True)
class Fitted:
    """The units of a portion in the forms that they are to have."""

    units: tuple[Unit, ...]
    forms: tuple[UnitForm, ...]

    @property
    def alone_nbytes(self) -> int:
        """The most that values take if one unit runs after the other."""
        lent = peak = 0
        for unit, form in zip(self.units, self.forms, strict=True):
            lent += unit.lends
            peak = max(peak, lent + form.nbytes)
            lent -= unit.returns
        return peak


@dataclass(frozen=True, eq=False)
class Design:
    """The units of all portions of one structure, by what they keep for one another by choice.

    `shares` has the bytes that they may keep so, from nothing to all that is worth it, and
    `units_with` gives the units for a share, by its number.
    """

    shares: tuple[int, ...]
    units_with: Callable[[int], tuple[Unit, ...]]
    ops: frozenset[Op]

    def within(self, allowance: int) -> Fitted:
        """The units as they read least while each takes no more than is allowed."""
        units = self.units_with(bisect_right(self.shares, allowance) - 1)
        return Fitted(units, tuple(unit.within(allowance) for unit in units))


@dataclass(frozen=True)
class Fit:
    """What a plan takes in a budget; it does not fit if its peak is above that."""

    budget: int
    allowance: int
    threads: int
    together: int
    room: int
    peak_nbytes: int
    read_nbytes: int
    work: int
    passes: int

    @property
    def is_within(self) -> bool:
        """Whether the plan can be run in the budget."""
        return self.peak_nbytes <= self.budget


@dataclass(frozen=True)
class Line:
    """All units of a plan, by their designs and how often these occur.

    There are to be so many workers at most, each with so many strips together. Of a budget,
    `reserve` says how much is for other things: never more than the budget grows by.
    """

    designs: Mapping[Design, int]
    threads: int
    together: int
    reserve: Reserve

    def fit(self, budget: int) -> Fit:
        """The way to read least in a budget; if there is none, the one that takes least memory."""
        tried = []
        reserved = self.reserve(budget)
        for fit in self._fits(budget - reserved):
            if fit.is_within:
                return replace(fit, budget=budget, peak_nbytes=fit.peak_nbytes + reserved)
            tried.append(fit)
        least = min(tried, key=lambda each: each.peak_nbytes)
        enough = least.peak_nbytes + self.reserve(_UNLIMITED)
        return replace(least, budget=budget, peak_nbytes=enough)

    def _fits(self, budget: int) -> Iterator[Fit]:
        for allowance in _ALLOWANCES:
            if allowance > max(0, budget * 3 // 4):  # the rest is for strips
                continue
            fitted = [(design.within(allowance), n) for design, n in self.designs.items()]
            alone = max((each.alone_nbytes for each, _ in fitted), default=0)
            units = [
                (form, form.nbytes + unit.lends, n)
                for each, n in fitted
                for unit, form in zip(each.units, each.forms, strict=True)
            ]
            strips = tuple(map(max, zip(*(form.strip_nbytes for form, *_ in units), strict=True)))
            for workers in range(self.threads, 0, -1):
                yield self._fit(units, alone, strips or (0,), budget, allowance, workers)

    def _fit(
        self,
        units: Sequence[tuple[UnitForm, int, int]],
        alone: int,
        strips: Sequence[int],
        budget: int,
        allowance: int,
        workers: int,
    ) -> Fit:
        at_once = workers + 1
        largest = sorted(
            (nbytes for _, nbytes, count in units for _ in range(min(count, at_once))), reverse=True
        )
        spare = min(budget // 4, budget - alone)
        able = [i for i, each in enumerate(strips) if each * workers <= spare]
        chosen = max((i for i in able if TOGETHER[i] <= self.together), default=0)
        in_hand = workers * strips[chosen]
        room = max(budget - in_hand, alone)
        return Fit(
            budget=budget,
            allowance=allowance,
            threads=workers,
            together=TOGETHER[chosen],
            room=room,
            peak_nbytes=in_hand + min(room, alone + sum(largest[1:at_once])),
            read_nbytes=sum(form.read_nbytes * count for form, _, count in units),
            work=sum(form.work * count for form, _, count in units),
            passes=sum(len(form.passes) * count for form, _, count in units),
        )


def nothing(_budget: int) -> int:
    """No reserve: all of a budget is for the plan."""
    return 0


def design_of(portion: Portion, roots: Sequence[Task]) -> Design:
    """The units of a portion, in order; `roots` are the tasks of its outputs."""
    drafts, homes = make_drafts(portion.tasks, roots)
    units = make_units(drafts, homes)
    at = {task.key: i for i, task in enumerate(portion.tasks)}
    plain = [trace(unit) for unit in units]
    line = [route for unit in plain for route in unit] if len(units) > 1 else []
    places, wanted = homes_of(line), worth_keeping(line)
    shares = tuple(_shares(wanted))

    @cache
    def units_with(share: int) -> tuple[Unit, ...]:
        kept = {task.key: task for task in shares[share]}
        all_homes = {**homes, **{key: places[key] for key in kept}}
        return _units(units, _standings(plain, all_homes, kept), all_homes, at)

    return Design(
        shares=tuple(sum(task.spec.nbytes for task in share) for share in shares),
        units_with=units_with,
        ops=frozenset(task.op for task in portion.tasks),
    )


def _shares(wanted: Sequence[Task]) -> Iterator[Sequence[Task]]:
    """Nothing of what is wanted, more and more of it by its bytes, and all."""
    sums = [0, *accumulate(task.spec.nbytes for task in wanted)]
    counts = (bisect_right(sums, sums[-1] * i // _SHARES) - 1 for i in range(_SHARES + 1))
    yield from (wanted[:count] for count in dict.fromkeys(counts))


def _standings(
    plain: Sequence[Sequence[Route]], homes: Mapping[str, Place], wanted: Mapping[str, Task]
) -> Iterator[Standing]:
    """How units stand to one another if values are kept from the first pass that computes them."""
    kept: dict[Place, list[Task]] = {}
    for key, task in wanted.items():
        kept.setdefault(homes[key], []).append(task)
    held: dict[str, Task] = {}
    for unit in plain:
        own = {place: kept[place] for place in (r.draft.place for r in unit) if place in kept}
        needed = (task for route in unit for task in route.steps)
        yield Standing({task.key: task for task in needed if task.key in held}, own)
        held |= {task.key: task for tasks in own.values() for task in tasks}


def _units(
    units: Sequence[Sequence[Draft]],
    standings: Iterable[Standing],
    homes: Mapping[str, Place],
    at: Mapping[str, int],
) -> tuple[Unit, ...]:
    """The units of a portion that stand to one another in some way."""
    standings = list(standings)
    routes = [trace(*each) for each in zip(units, standings, strict=True)]
    unit_of = {draft.place: i for i, unit in enumerate(units) for draft in unit}
    loans = _loans(routes, homes, unit_of)
    borrows: list[list[int]] = [[] for _ in units]
    lends, returns = [0] * len(units), [0] * len(units)
    for loan in loans.values():
        lends[loan.maker] += loan.task.spec.nbytes
        returns[loan.takers[-1]] += loan.task.spec.nbytes
        for taker in loan.takers:
            borrows[taker].append(at[loan.task.key])
    needs = [
        {unit_of[home] for route in unit for home in origins(route, homes)} - {i}
        for i, unit in enumerate(routes)
    ]
    return tuple(
        Unit(
            forms=choices(unit, at, loans, standing),
            needs=tuple(sorted(needs[i])),
            borrows=tuple(borrows[i]),
            lends=lends[i],
            returns=returns[i],
        )
        for i, (unit, standing) in enumerate(zip(units, standings, strict=True))
    )


@dataclass(frozen=True)
class _Loan:
    """A value that units other than the one that makes it need."""

    task: Task
    maker: int
    takers: list[int]


def _loans(
    units: Sequence[Sequence[Route]], homes: Mapping[str, Place], unit_of: Mapping[Place, int]
) -> dict[str, _Loan]:
    """Values that stay in the store for other units, with these in running order."""
    loans: dict[str, _Loan] = {}
    for i, unit in enumerate(units):
        for route in unit:
            for task in route.needed():
                maker = unit_of[homes[task.key]] if task.key in homes else i
                if maker != i:
                    loan = loans.setdefault(task.key, _Loan(task, maker, []))
                    if i not in loan.takers[-1:]:
                        loan.takers.append(i)
    return loans
