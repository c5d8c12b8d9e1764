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
from mergegraph.evolve.journal import Entry
from mergegraph.evolve.request import Asking
from mergegraph.evolve.searching import losses_of

_BLOCKS = "▁▂▃▄▅▆▇█"
_WIDEST = 60
_SHOWN = 5


class SearchDisplay:
    """Shows the best scores, and how they came, while a search runs."""

    def __init__(self, asking: Asking, *, quiet: bool = False) -> None:
        self._asking = asking
        self._console = Console(
            stderr=True, quiet=quiet, highlight=False, soft_wrap=True, emoji=False
        )
        is_live = self._console.is_terminal and not quiet
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._is_live = is_live
        self._trials: list[Entry] = []
        self._best: list[float] = []
        self._said = 0
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

    def trial(self, entry: Entry) -> None:
        """Note a trial."""
        self._trials.append(entry)
        losses = losses_of(self._asking, entry)
        if losses is not None:
            loss = min(losses[0], self._best[-1]) if self._best else losses[0]
            if len(losses) == 1 and (not self._best or loss < self._best[-1]):
                self._tell_best(entry)
            self._best.append(loss)
        if self._is_live:
            self._live.update(self._table(), refresh=True)

    def _tell_best(self, entry: Entry) -> None:
        if not self._is_live:
            self.say(
                f"trial {entry.number}: {told_scores(self._asking, entry.scores)}, the best yet"
            )

    def generation(self) -> None:
        """Note that a generation is over."""
        if self._is_live:
            return
        new = self._trials[self._said :]
        self._said = len(self._trials)
        lost = sum(each.scores is None for each in new)
        repeated = sum(each.repeats is not None for each in new)
        more = [f"{lost} without a score"] if lost else []
        more += [f"{repeated} as before"] if repeated else []
        told = f" ({', '.join(more)})" if more else ""
        total = self._asking.way.trials
        self.say(f"{len(self._trials)} of {total} trials{told}, {self._seconds():.0f} s")

    def _seconds(self) -> float:
        return time.monotonic() - self._began

    def _table(self) -> Table:
        """The best trials with the values of their genes, and the curve."""
        table = Table(title=self._title(), title_justify="left", caption=self._curve())
        names = [each.name for each in self._asking.objectives]
        for name in ("trial", *names, "values"):
            table.add_column(name)
        ranked = [(losses_of(self._asking, each), each) for each in self._trials]
        there = sorted((loss, e.number, e) for loss, e in ranked if loss and e.repeats is None)
        for _, number, each in there[:_SHOWN]:
            scores = [f"{(each.scores or {})[name]:.6g}" for name in names]
            values = "  ".join(_told(*gene) for gene in each.genes.items() if gene[1] is not False)
            table.add_row(str(number), *scores, Text(printable(values), overflow="ellipsis"))
        return table

    def _title(self) -> Text:
        lost = sum(each.scores is None for each in self._trials)
        more = f", {lost} without a score" if lost else ""
        told = f"{len(self._trials)} of {self._asking.way.trials} trials{more}"
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


def told_scores(asking: Asking, scores: Mapping[str, Any] | None) -> str:
    """The scores that are looked for, in words."""
    there = scores or {}
    names = [each.name for each in asking.objectives if each.name in there]
    return ", ".join(f"{name} {there[name]:.6g}" for name in names) or "no score"
