"""docs/performance.md, made of results and the prose of its template."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from string import Template

from benchmarks.judge import Judgement
from benchmarks.rows import Row
from benchmarks.series import Results
from benchmarks.table import Table, judged_table, measured_table

PICTURE = "performance.svg"

_TEMPLATE = Path(__file__).with_name("performance.template.md")


def page_text(
    rows: Iterable[Row],
    results: Results,
    judgements: Sequence[Judgement],
    *,
    has_picture: bool,
) -> str:
    """The whole page."""
    template = Template(_TEMPLATE.read_text(encoding="utf-8"))
    return template.substitute(
        results.settings,
        targets=judged_table(judgements).markdown(),
        missed=_missed(judgements),
        picture=f"\n![Wall time of every row]({PICTURE})\n" if has_picture else "",
        measured=measured_table(rows, results).markdown(),
        machine=_listed(results.machine),
        date=results.date,
    )


def _missed(judgements: Sequence[Judgement]) -> str:
    missed = sum(each.is_missed for each in judgements)
    unknown = sum(each.measured is None for each in judgements)
    met = len(judgements) - missed - unknown
    parts = [f"{met} met", f"{missed} missed", *([f"{unknown} not measured"] if unknown else [])]
    return f"Of {len(judgements)} targets: {', '.join(parts)}."


def _listed(machine: Mapping[str, str]) -> str:
    return Table(("", ""), tuple(machine.items()), words=2).markdown()
