"""From what a survey has found to an adapter that is ready to be written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path

from mergegraph.errors import MergeGraphError, ProblemsError
from mergegraph.extract.adapter import adapter_config, prefix_of, tensors_of
from mergegraph.extract.fates import Fates, Measured, decide
from mergegraph.extract.survey import Request, Survey, measure, survey
from mergegraph.extract.telling import card_of, lines_of, request_text
from mergegraph.machine import no_collection
from mergegraph.models.model import SideFiles
from mergegraph.pipeline import Summary, finish
from mergegraph.planning.planned import overlaps, result_key, whole_plan
from mergegraph.planning.planner import expanded
from mergegraph.plans import Directory, Origin, Output, Plan
from mergegraph.preparing import Prepared, ready
from mergegraph.settings import Settings
from mergegraph.writing.made import package_versions

CONFIG = "adapter_config.json"
COMMAND = "extract-lora"
_STEM = "adapter_model"
_ONE_FILE = 2**62  # bytes: PEFT reads adapters of one file


def extract(
    request: Request, *, out: str | PathLike[str], settings: Settings | None = None
) -> Summary:
    """Make an adapter of the difference of a model and its base."""
    made = survey(request, settings)
    check_place(made, out)
    return finish(prepare(made, measure(made), out=out))


def check_place(made: Survey, out: str | PathLike[str]) -> None:
    """Raise ProblemsError if the adapter would be written over one of the models."""
    origin = Origin(CONFIG, "", None, (), "")
    place = Directory(expanded(out), origin, 0, {}, SideFiles(), (), {}, "")
    if problems := list(overlaps([place], made.library)):
        raise ProblemsError(problems)


@no_collection()
def prepare(
    made: Survey,
    found: Mapping[str, Measured],
    *,
    out: str | PathLike[str],
    restart: bool = False,
) -> Prepared:
    """Plan the adapter by what the survey has found; nothing is written yet.

    Raises MergeGraphError if there is nothing to write, or the budget or the disk will not do.
    """
    check_place(made, out)
    request = made.request
    fates = decide(made.paired, found, request.wishes)
    if not fates.ranks and not fates.whole:
        told = "; ".join(f"{name}: {why}" for name, why in list(fates.left_out.items())[:3])
        fact = f"nothing that an adapter could hold differs from {request.base}"
        raise MergeGraphError(f"{request.model}: {fact}{f' ({told})' if told else ''}")
    lines = tuple(lines_of(made.paired, found, fates))
    plan = _plan(made, fates, lines, expanded(out))
    settings = Settings(**{**vars(made.settings), "shard_size": _ONE_FILE})
    return ready(plan, made.plugins, settings, restart=restart)


def _plan(made: Survey, fates: Fates, lines: Sequence[str], place: Path) -> Plan:
    """The plan that writes an adapter."""
    request, base = made.request, made.base
    prefix = prefix_of(base.config, base.tensors)
    tensors = tensors_of(
        made.paired,
        fates,
        most=request.wishes.most,
        seed=made.seed,
        dtype=request.dtype,
        prefix=prefix,
        is_even=request.is_even,
    )
    outputs = [Output(place, name, task) for name, task in tensors]
    config = adapter_config(
        made.paired, fates, base=request.base, config=base.config, prefix=prefix
    )
    texts = {
        CONFIG: json.dumps(config, indent=2) + "\n",
        "README.md": card_of(request, place, lines, made.seed),
    }
    sides = SideFiles(texts=texts, stems={"": _STEM})
    versions = "\n".join(f"{name} {found}" for name, found in package_versions().items())
    directory = Directory(
        path=place,
        origin=Origin(
            place.name, request_text(request, made.seed), None, (COMMAND,), "", command=COMMAND
        ),
        seed=made.seed,
        config={},
        sides=sides,
        parents=tuple(dict.fromkeys((*base.parents, *made.model.parents))),
        explained={},
        key=result_key(f"{COMMAND}\n{versions}", outputs, {}, sides),
    )
    return whole_plan(outputs, (), [directory], made.library, lines)
