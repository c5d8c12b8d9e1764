"""Chapters: the sections of a target, by what there is of it."""

from __future__ import annotations

from mergegraph.machine import sized
from mergegraph.report.markup import number, percent
from mergegraph.report.measuring import Measured
from mergegraph.report.page import Chapter, Fact, Section
from mergegraph.report.sections.breeding import breeding_facts, breeding_sections
from mergegraph.report.sections.evolving import evolving_facts, evolving_sections
from mergegraph.report.sections.keeping import conflict_rate, keeping_section, kept_rate
from mergegraph.report.sections.kinship import kinship_section, two_digits
from mergegraph.report.sections.lineage import generations, lineage_section
from mergegraph.report.sections.making import counted, making_section
from mergegraph.report.sections.parameters import parameters_section
from mergegraph.report.sections.work import Ran, work_section
from mergegraph.report.targets import Opened
from mergegraph.search.record import Bred, Evolved

_PAIR = 2


def chapter_of(opened: Opened, measured: Measured | None, ran: Ran) -> Chapter:
    """The chapter of a target."""
    if opened.record is not None:
        return _of_search(opened.name, opened.record)
    return Chapter(
        title=opened.name,
        kind=_kind(opened, ran),
        lead=_lead(opened),
        facts=_facts(opened, measured, ran),
        sections=_sections(opened, measured, ran),
        notes=_notes(opened),
    )


def _of_search(name: str, record: Evolved | Bred) -> Chapter:
    if isinstance(record, Evolved):
        seed = "" if record.seed is None else f", seed {record.seed}"
        recipe = record.recipe or "A recipe"
        lead = f"{recipe} with its open values filled in by {record.sampler}{seed}."
        facts, sections = evolving_facts(record), evolving_sections(record)
        return Chapter(name, "Search of values", lead, facts, sections)
    lead = f"Generations of merges by {record.method} over {record.base}."
    if record.ingredients:
        count = f"{len(record.ingredients)} of {len(record.order)}"
        lead = f"A greedy soup: the {record.method} average of {count} models."
    return Chapter(name, "Breeding", lead, breeding_facts(record), breeding_sections(record))


def _kind(opened: Opened, ran: Ran) -> str:
    if opened.manifest is not None:
        return "Result of a merge"
    return "Run of a recipe" if ran.seconds is not None else "Recipe, not run"


def _lead(opened: Opened) -> str:
    if opened.looked is None:
        manifest = opened.manifest
        methods = ", ".join(manifest.methods) if manifest else ""
        return f"Made by {methods}. {opened.why_not}" if methods else opened.why_not
    recipe, result = opened.looked.recipe, opened.looked.recipe.result
    method = result.method if result else "stages"
    count, models = len(recipe.stages), len(opened.looked.inputs)
    stages = "" if count == 1 else f", the last of {count} stages"
    base = f" over {opened.looked.base}" if opened.looked.base else ""
    return f"A merge by {method}{stages}, of {models} model{'s' * (models != 1)}{base}."


def _facts(opened: Opened, measured: Measured | None, ran: Ran) -> list[Fact]:
    facts: list[Fact] = []
    if opened.looked is not None:
        plan, schedule = opened.looked.plan, opened.looked.schedule
        numel = sum(each.task.spec.numel for each in plan.outputs)
        facts.append(
            Fact("result", f"{counted(numel)}", f"parameters in {len(plan.outputs)} tensors")
        )
    elif opened.manifest is not None:
        facts.append(Fact("result", f"{len(opened.manifest.tensors)}", "tensors"))
    if opened.family is not None and opened.family.inputs:
        facts.append(Fact("generations", str(generations(opened.family)), "of merges"))
    if measured is not None:
        facts += _measured_facts(measured)
    if ran.seconds is not None:
        facts.append(Fact("time", f"{number(ran.seconds, 3)} s", _rate(opened, ran.seconds)))
    if opened.looked is not None:
        peak = f"of a budget of {sized(schedule.budget)}"
        facts.append(Fact("counted peak", sized(schedule.peak_nbytes), peak))
        facts.append(
            Fact(
                "to read", sized(schedule.read_nbytes), f"{sized(schedule.written_nbytes)} to write"
            )
        )
    return facts


def _rate(opened: Opened, seconds: float) -> str:
    if opened.looked is None or not seconds:
        return ""
    schedule = opened.looked.schedule
    return f"{sized((schedule.read_nbytes + schedule.written_nbytes) / seconds)}/s"


def _measured_facts(measured: Measured) -> list[Fact]:
    facts = []
    family = measured.family
    mean = family.group() if family is not None and len(family.names) >= _PAIR else None
    if family is not None and mean is not None:
        facts.append(Fact("mean kinship", two_digits(mean), f"of {len(family.names)} models"))
    kept = [each for found in measured.kept.values() for each in found]
    rate, share = conflict_rate(kept), kept_rate(kept)
    if rate is not None:
        facts.append(Fact("sign conflicts", percent(rate), "of entries"))
    if share is not None:
        facts.append(Fact("kept by pruning", percent(share), "of changed entries"))
    return facts


def _sections(opened: Opened, measured: Measured | None, ran: Ran) -> list[Section]:
    """Pictures of what is known, sentences for the rest."""
    looked, why_not = opened.looked, opened.why_not
    sections = [kinship_section(measured.family if measured else None, why_not)]
    if looked is not None:
        sections += [
            keeping_section(looked.merges, measured, why_not),
            parameters_section(looked.merges),
            making_section(looked),
        ]
    if opened.family is not None:
        sections.append(lineage_section(opened.family))
    sections.append(work_section(looked.schedule if looked else None, ran))
    return sections


def _notes(opened: Opened) -> tuple[str, ...]:
    return opened.looked.plan.notes if opened.looked else ()
