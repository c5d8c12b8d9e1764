"""The section on work: where time and memory go, as planned and as it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mergegraph.machine import sized
from mergegraph.report.bars import Bar, Lane, bars, lanes
from mergegraph.report.drawing import key
from mergegraph.report.figures import Table, beside, figure, sentence
from mergegraph.report.markup import Markup, number
from mergegraph.report.page import Section
from mergegraph.report.traces import NAMES, WAITING, Work
from mergegraph.scheduling.schedule import Schedule

_LONGEST = 12  # ops that are shown by themselves
_COLOURS = (0, 2, 4, 1, 7, 3)  # of the kinds of work
_TIMES = (0.25, 0.5, 1, 2, 4)  # the budget
_HALF = 490  # pixels
_MANY = 40  # units that are told of


@dataclass(frozen=True)
class Ran:
    """What is known of a run that was made."""

    work: Work | None = None
    seconds: float | None = None
    peak_resident_nbytes: int = 0


def work_section(schedule: Schedule | None, ran: Ran) -> Section:
    """Time by kind of work, bytes read and written, memory against the budget."""
    content = [] if ran.work is None else [*_time(ran.work)]
    if schedule is not None:
        content.append(beside(_memory(schedule, ran), _budgets(schedule)))
    about = (
        "" if ran.work else "What the schedule counts. A run with a trace shows where time goes."
    )
    if not content:
        content = [sentence("Neither the recipe's inputs nor a trace of the run are there.")]
    return Section("Where time and memory go", about if schedule else "", content)


def _time(work: Work) -> Iterator[Markup]:
    totals = dict.fromkeys(range(len(NAMES)), 0.0)
    rows, lines = [], []
    for thread, stretches in work.stretches.items():
        found = work.by_kind(thread)
        for kind, seconds in found.items():
            totals[kind] += seconds
        rows.append([thread, *found.values()])
        lines.append(Lane(thread, [_shares(own, work.step) for own in stretches], work.step))
    used = [kind for kind in range(len(NAMES)) if totals[kind] and kind != WAITING]
    told = key([(NAMES[kind], _COLOURS[kind]) for kind in used])
    about = f"{number(work.seconds, 3)} s from the first strip to the last byte. Gaps are waiting."
    columns = ["thread", *(f"{name}, s" for name in NAMES)]
    yield figure(
        "What each thread did",
        about,
        lanes("What each thread did over time", lines, max(work.seconds, work.step)),
        key=told,
        tables=[Table("seconds by thread", columns, rows)],
    )
    named = work.by_name()
    longest = [
        Bar(name, [("", seconds, _COLOURS[kind])], f"{number(seconds, 3)} s")
        for name, kind, seconds, _ in named[:_LONGEST]
    ]
    picture = bars("Time by what was done", longest, told=_seconds)
    table = Table(
        "all work", ["what", "kind", "seconds", "times"],
        [[name, NAMES[kind], seconds, count] for name, kind, seconds, count in named], texts=(0, 1),
    )  # fmt: skip
    yield figure(
        "Time by what was done",
        "Seconds of all threads together.",
        picture,
        key=told,
        tables=[table],
    )


def _shares(stretch: Mapping[int, float], step: float) -> list[tuple[str, float, int]]:
    """The share of a stretch of time that went to each kind of work."""
    at_work = [(kind, seconds) for kind, seconds in sorted(stretch.items()) if kind != WAITING]
    scale = 1 / max(step, sum(seconds for _, seconds in at_work))
    return [(NAMES[kind], seconds * scale, _COLOURS[kind]) for kind, seconds in at_work]


def _memory(schedule: Schedule, ran: Ran) -> Markup:
    """The counted peak and its parts against the budget, and what was measured."""
    store = min(schedule.room, max((unit.nbytes for unit in schedule.units), default=0))
    in_hand = max(0, schedule.peak_nbytes - store)
    parts = [("strips in hand", float(in_hand), 0), ("values in the store", float(store), 2)]
    rows = [Bar("counted peak", parts)]
    if ran.peak_resident_nbytes:
        resident = float(ran.peak_resident_nbytes)
        rows.append(Bar("measured, whole process", [("resident", resident, 7)]))
    longest = max(sum(v for _, v, _ in row.parts) for row in rows)
    is_near = schedule.budget < 6 * longest
    marks = [(float(schedule.budget), f"budget {sized(schedule.budget)}")] if is_near else []
    about = f"Counted before the run: at most {sized(schedule.peak_nbytes)} of a budget of "
    about += f"{sized(schedule.budget)}, besides the interpreter and torch. "
    about += f"{sized(schedule.read_nbytes)} read, {sized(schedule.written_nbytes)} written, "
    about += f"{sum(1 for _ in schedule.passes)} passes, {schedule.threads} threads."
    units = sorted(enumerate(schedule.units), key=lambda each: (-each[1].nbytes, each[0]))[:_MANY]
    table = Table(
        "passes that take most",
        ["unit", "passes", "tensors", "in the store, bytes"],
        [[f"{i}", len(u.passes), _outputs(u), u.nbytes] for i, u in units],
    )
    return figure(
        "Memory",
        about,
        bars("Memory against the budget", rows, told=sized, marks=marks, width=_HALF),
        key=key([("strips in hand", 0), ("values in the store", 2)]),
        tables=[table],
    )


def _outputs(unit: object) -> int:
    passes = getattr(unit, "passes", ())
    return len({i for each in passes for on in each.writes.values() for i in on})


def _budgets(schedule: Schedule) -> Markup:
    """What the same work would read in smaller and larger budgets."""
    rows, table = [], []
    for times in _TIMES:
        fit = schedule.at(int(schedule.budget * times))
        name = f"{sized(fit.budget)}" + (" (this)" if times == 1 else "")
        if fit.is_within:
            rows.append(Bar(name, [("read", float(fit.read_nbytes), 0)], sized(fit.read_nbytes)))
        else:
            rows.append(Bar(name, [], f"does not fit: needs {sized(fit.peak_nbytes)}"))
        table.append(
            [name, fit.read_nbytes, fit.passes, fit.peak_nbytes, "yes" if fit.is_within else "no"]
        )
    columns = ["budget", "bytes read", "passes", "peak bytes", "fits"]
    return figure(
        "What other budgets would read",
        "With less memory inputs are read more often; the bytes of the result stay the same.",
        bars("Bytes read by budget", rows, told=sized, width=_HALF),
        tables=[Table("other budgets", columns, table, texts=(0, 4))],
    )


def _seconds(value: float) -> str:
    return f"{number(value, 3)} s"
