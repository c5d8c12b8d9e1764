"""How far a search is: a live table with a curve on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from mergegraph.errors import printable
from mergegraph.evolve.journal import Trial
from mergegraph.evolve.request import SearchRequest
from mergegraph.evolve.searching import losses_of

_BLOCKS = "▁▂▃▄▅▆▇█"
_WIDEST = 60
_SHOWN = 5


class SearchDisplay:
    """Shows the best scores, and how they came, while a search runs."""

    def __init__(self, request: SearchRequest, *, quiet: bool = False) -> None:
        self._request = request
        self._console = Console(
            stderr=True, quiet=quiet, highlight=False, soft_wrap=True, emoji=False
        )
        is_live = self._console.is_terminal and not quiet
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._is_live = is_live
        self._trials: list[Trial] = []
        self._best: list[float] = []
        self._new: list[Trial] = []  # of this generation
        self._began = time.monotonic()

    def __enter__(self) -> SearchDisplay:
        if self._is_live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.hide()

    def hide(self) -> None:
        """Take the live table away; it does not come back."""
        if self._is_live:
            self._is_live = False
            self._live.stop()

    def say(self, *lines: str) -> None:
        """Print lines, above the live table if there is one."""
        for line in lines:
            self._console.print(printable(line), markup=False)

    def goes_on(self, count: int) -> None:
        """Tell how many trials are known from earlier."""
        if count:
            self.say(f"goes on, {count} trials are known")

    def known(self, trial: Trial) -> None:
        """Note a trial that is known from earlier."""
        self._trials.append(trial)
        losses = losses_of(self._request, trial)
        if losses is not None:
            self._best.append(min([losses[0], *self._best[-1:]]))

    def trial(self, trial: Trial) -> None:
        """Note a new trial."""
        before = self._best[-1:]
        self.known(trial)
        self._new.append(trial)
        if len(self._request.objectives) == 1 and self._best[-1:] != before:
            self._tell_best(trial)
        if self._is_live:
            self._live.update(self._table(), refresh=True)

    def _tell_best(self, trial: Trial) -> None:
        if not self._is_live:
            self.say(
                f"trial {trial.number}: {told_scores(self._request, trial.scores)}, the best yet"
            )

    def generation(self) -> None:
        """Note that a generation is over."""
        new, self._new = self._new, []
        if self._is_live:
            return
        lost = sum(each.scores is None for each in new)
        repeated = sum(each.repeats is not None for each in new)
        more = [f"{lost} without a score"] if lost else []
        more += [f"{repeated} as before"] if repeated else []
        told = f" ({', '.join(more)})" if more else ""
        total = self._request.way.trials
        self.say(f"{len(self._trials)} of {total} trials{told}, {self._seconds():.0f} s")

    def _seconds(self) -> float:
        return time.monotonic() - self._began

    def _table(self) -> Table:
        """The best trials with the values of their genes, and the curve."""
        table = Table(title=self._title(), title_justify="left", caption=self._curve())
        names = [each.name for each in self._request.objectives]
        for name in ("trial", *names, "values"):
            table.add_column(name)
        ranked = [(losses_of(self._request, each), each) for each in self._trials]
        there = sorted((loss, e.number, e) for loss, e in ranked if loss and e.repeats is None)
        for _, number, each in there[:_SHOWN]:
            scores = [f"{(each.scores or {})[name]:.6g}" for name in names]
            values = "  ".join(_told(*gene) for gene in each.genes.items() if gene[1] is not False)
            table.add_row(str(number), *scores, Text(printable(values), overflow="ellipsis"))
        return table

    def _title(self) -> Text:
        lost = sum(each.scores is None for each in self._trials)
        more = f", {lost} without a score" if lost else ""
        told = f"{len(self._trials)} of {self._request.way.trials} trials{more}"
        return Text(f"{told}, {self._seconds():.0f} s")

    def _curve(self) -> Text:
        return Text(curve([-each for each in self._best]))


def curve(values: Sequence[float], width: int = _WIDEST) -> str:
    """A line of blocks that rises with values, the last of them always in it."""
    if not values:
        return ""
    count = min(len(values), width)
    picked = [values[(i + 1) * len(values) // count - 1] for i in range(count)]
    low, high = min(picked), max(picked)
    span = (high - low) or 1.0
    return "".join(_BLOCKS[round((each - low) / span * (len(_BLOCKS) - 1))] for each in picked)


def _told(name: str, value: Any) -> str:
    """A gene in few words; of switches, that they are on."""
    return name if value is True else f"{name} {value}"


def told_scores(request: SearchRequest, scores: Mapping[str, Any] | None) -> str:
    """The scores that are looked for, in words."""
    there = scores or {}
    names = [each.name for each in request.objectives if each.name in there]
    return ", ".join(f"{name} {there[name]:.6g}" for name in names) or "no score"
