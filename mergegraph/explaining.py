"""Plans as text, JSON, and drawings of the graph."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mergegraph.errors import MergeGraphError, nearest, printable
from mergegraph.machine import sized
from mergegraph.planning.partition import wholes
from mergegraph.plans import Output, Plan
from mergegraph.scheduling.fitting import Fit
from mergegraph.scheduling.schedule import Pass, Schedule
from mergegraph.stages.stage import Explained
from mergegraph.tasks import Op, Task, walk


def plan_figures(plan: Plan, schedule: Schedule) -> dict[str, Any]:
    """What is to be known of a plan, as plain data."""
    inputs = sum(task.spec.nbytes for task in plan.tasks if not task.inputs)
    outputs: dict[Path, list[Output]] = {}
    for output in plan.outputs:
        outputs.setdefault(output.directory, []).append(output)
    return {
        "inputs": [
            {
                "model": account.checkpoint.reference,
                "tensors": len(account.checkpoint.entries),
                "read": account.read,
                "left_out": list(account.left_out),
            }
            for account in plan.accounts
        ],
        "outputs": [
            {
                "directory": str(directory.path),
                "tensors": len(wholes(outputs[directory.path])),
                "nbytes": sum(each.task.spec.nbytes for each in outputs[directory.path]),
                "parents": [each.reference for each in directory.parents],
                "key": directory.key,
            }
            for directory in plan.directories
        ],
        "tasks": _counted(plan),
        "passes": sum(1 for _ in schedule.passes),
        "input_nbytes": inputs,
        "read_nbytes": schedule.read_nbytes,
        "written_nbytes": schedule.written_nbytes,
        "peak_nbytes": schedule.peak_nbytes,
        "threads": schedule.threads,
        "at_half_the_budget": _cost(schedule.at(schedule.budget // 2)),
        "at_twice_the_budget": _cost(schedule.at(schedule.budget * 2)),
    }


def _counted(plan: Plan) -> dict[str, int]:
    """How many tasks there are of each op, by its name."""
    counts: Counter[str] = Counter()
    for used, count in Counter(task.op for task in plan.tasks).items():
        counts[_short(used)] += count
    return dict(sorted(counts.items()))


def _cost(fit: Fit) -> dict[str, Any]:
    """What the work takes in another budget; of one that is too small, what would do."""
    if not fit.is_within:
        return {"budget_nbytes": fit.budget, "fits": False, "needed_nbytes": fit.peak_nbytes}
    return {
        "budget_nbytes": fit.budget,
        "fits": True,
        "passes": fit.passes,
        "read_nbytes": fit.read_nbytes,
        "peak_nbytes": fit.peak_nbytes,
    }


def _cost_text(told: dict[str, Any]) -> str:
    if not told["fits"]:
        return f"does not fit, {sized(told['needed_nbytes'])} are needed"
    read, peak = sized(told["read_nbytes"]), sized(told["peak_nbytes"])
    return f"{read} read in {told['passes']} passes, peak {peak}"


def plan_text(plan: Plan, schedule: Schedule, notes: Iterable[str]) -> str:
    """A plan for people."""
    figures = plan_figures(plan, schedule)
    lines = ["inputs"]
    for each in figures["inputs"]:
        left = f", {len(each['left_out'])} left out" if each["left_out"] else ""
        lines.append(f"  {each['model']}: {each['tensors']} tensors, {each['read']} read{left}")
        lines += _grouped(each["left_out"])
    lines.append("outputs")
    for each in figures["outputs"]:
        lines.append(f"  {each['directory']}: {each['tensors']} tensors, {sized(each['nbytes'])}")
    tasks = ", ".join(f"{count} {name}" for name, count in figures["tasks"].items())
    reads = figures["read_nbytes"] / max(1, figures["input_nbytes"])
    lines += [
        "work",
        f"  tasks: {tasks}",
        f"  passes: {figures['passes']} with {figures['threads']} threads",
        f"  read: {sized(figures['read_nbytes'])}, {reads:.2f} times the inputs in use",
        f"  write: {sized(figures['written_nbytes'])}",
        f"  peak memory: {sized(figures['peak_nbytes'])} besides the interpreter and torch",
    ]
    for word, change in (("half", "at_half_the_budget"), ("twice", "at_twice_the_budget")):
        budget = sized(figures[change]["budget_nbytes"])
        lines.append(f"  at {word} the budget, {budget}: {_cost_text(figures[change])}")
    if told := list(notes):
        lines += ["notes", *(f"  {note}" for note in told)]
    return "\n".join(map(printable, lines))


def plan_json(plan: Plan, schedule: Schedule, notes: Iterable[str]) -> str:
    """A plan for programs."""
    return json.dumps({**plan_figures(plan, schedule), "notes": list(notes)}, indent=2)


def tensor_text(plan: Plan, schedule: Schedule, name: str) -> str:
    """One output tensor of each directory: its formula, inputs, parameters and passes."""
    chosen = _outputs_named(plan, name)
    return "\n\n".join("\n".join(map(printable, _explained(plan, schedule, o))) for o in chosen)


def plan_dot(plan: Plan, name: str | None = None) -> str:
    """The graph in the language of Graphviz: of one tensor, or of the stages."""
    nodes, edges = drawing(plan, name)
    lines = [f'  "{key}" [label={json.dumps(label, ensure_ascii=False)}];' for key, label in nodes]
    lines += [f'  "{first}" -> "{second}";' for first, second in edges]
    drawn = ["digraph plan {", "  rankdir=LR; node [shape=box];", *lines, "}"]
    return "\n".join(map(printable, drawn))


def plan_mermaid(plan: Plan, name: str | None = None) -> str:
    """The graph in the language of Mermaid: of one tensor, or of the stages."""
    nodes, edges = drawing(plan, name)
    number = {key: f"n{i}" for i, (key, _) in enumerate(nodes)}
    lines = []
    for key, label in nodes:
        shown = label.replace('"', "#quot;").replace("\n", "<br>")
        lines.append(f'  {number[key]}["{shown}"]')
    lines += [f"  {number[first]} --> {number[second]}" for first, second in edges]
    return "\n".join(map(printable, ["flowchart LR", *lines]))


def drawing(plan: Plan, name: str | None) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The graph of one tensor, or of the stages: nodes with their labels, and edges."""
    if name is None:
        return _stages(plan)
    tasks = list(walk(*(each.task for each in _outputs_named(plan, name))))
    nodes = [(task.key, _label(task)) for task in tasks]
    return nodes, [(each.key, task.key) for task in tasks for each in task.inputs]


def _explained(plan: Plan, schedule: Schedule, output: Output) -> Iterator[str]:
    directory = next((each for each in plan.directories if each.path == output.directory), None)
    yield f"{output.directory}: {output.name}  {output.task.spec}"
    name = output.part.whole.name if output.part else output.name
    told = directory.explained.get(name) if directory else None
    if told is not None:
        yield f"  by {told.how}"
        yield from _inputs(told)
    yield "  formula"
    yield from _formula(output.task)
    passes = _passes(schedule, output)
    yield f"  passes: {len(passes)}, strips: {sum(len(each.grid.strips()) for each in passes)}"


def _passes(schedule: Schedule, output: Output) -> list[Pass]:
    """The passes that an output takes, those of other tensors too; none if it is finished."""
    number = next((i for i, each in enumerate(schedule.outputs) if each is output), None)
    units = schedule.units
    due = [
        i
        for i, unit in enumerate(units)
        if any(number in numbers for each in unit.passes for numbers in each.writes.values())
    ]
    found: set[int] = set()
    while due:
        unit = due.pop()
        if unit not in found:
            found.add(unit)
            due += units[unit].needs
    return [each for i in sorted(found) for each in units[i].passes]


def _inputs(told: Explained) -> Iterator[str]:
    if told.base is not None:
        yield f"  base: {told.base.model.reference} {told.base.name}"
    for i, part in enumerate(told.parts):
        own = {name: v[i] for name, v in told.values.items() if isinstance(v, list)}
        shown = ", ".join(f"{name}={_shown(value)}" for name, value in own.items())
        yield f"  model: {part.model.reference} {part.name}  {shown}".rstrip()
    common = {name: v for name, v in told.values.items() if not isinstance(v, list)}
    if common:
        yield "  " + ", ".join(f"{name}={_shown(value)}" for name, value in common.items())


def _formula(root: Task) -> Iterator[str]:
    """The tasks as a list of assignments; what whole models come to stands for itself."""
    names: dict[str, str] = {}
    common = _of_whole_models(root)
    own = dict.fromkeys(walk(root, above=common))
    own = dict.fromkeys([*(each for task in own for each in task.inputs if each in common), *own])
    for i, task in enumerate(own):
        names[task.key] = f"t{i}"
        if task in common:
            yield f"    t{i} = {_short(task.op)}(...)  of {_tensors_of(task)} tensors together"
            continue
        if task.op.cut == "load":
            yield f"    t{i} = load({_read(task)})  {task.spec}"
            continue
        given = [names[each.key] for each in task.inputs]
        given += [f"{key}={_shown(value)}" for key, value in task.numbers.items()]
        is_of_few = task.is_small and all(each.is_small for each in task.inputs)
        how = "of a few numbers" if is_of_few else task.op.cut
        yield f"    t{i} = {_short(task.op)}({', '.join(given)})  {how}"


def _of_whole_models(root: Task) -> set[Task]:
    """Small tasks made of tensors of several shapes."""
    shapes: dict[str, frozenset[tuple[int, ...]]] = {}
    found = set()
    for task in walk(root):
        if not task.is_small:
            continue
        big = {each.spec.shape for each in task.inputs if not each.is_small}
        shapes[task.key] = frozenset(big).union(
            *(shapes[each.key] for each in task.inputs if each.is_small)
        )
        if len(shapes[task.key]) > 1:
            found.add(task)
    return found


def _tensors_of(small: Task) -> int:
    """How many tensors a small task is made of."""
    seen, left, tensors = {small}, [small], set()
    while left:
        for each in left.pop().inputs:
            if not each.is_small:
                tensors.add(each)
            elif each not in seen:
                seen.add(each)
                left.append(each)
    return len(tensors)


def _read(task: Task) -> str:
    """What a load reads: its files, and how many rows if not all of them in their order."""
    files = [str(getattr(part, "path", "memory")) for part in task.numbers["entry"].parts]
    rows = task.numbers["rows"]
    return " + ".join(files) + ("" if rows is None else f", rows={rows}")


def _stages(plan: Plan) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Models and merges: the graph as the recipes draw it."""
    nodes: dict[str, str] = {}
    edges: dict[tuple[str, str], None] = {}
    for origin in (each.origin for each in plan.directories):
        stages = {stage: method for _, stage, method in origin.edges}
        for stage, method in stages.items():
            nodes[f"{origin.file}:{stage}"] = f"{stage or origin.name}\n{method}"
        for model, stage, _ in origin.edges:
            source = f"{origin.file}:{model}" if model in stages else model
            nodes.setdefault(source, model)
            edges[source, f"{origin.file}:{stage}"] = None
    return list(nodes.items()), list(edges)


def _label(task: Task) -> str:
    if task.op.cut == "load":
        path = getattr(task.numbers["entry"].parts[0], "path", None)
        return f"load\n{path.parent.name if path else 'memory'}"
    numbers = "".join(
        f"\n{key}={_shown(value)}" for key, value in task.numbers.items() if key != "seed"
    )
    return _short(task.op) + numbers


def _short(used: Op) -> str:
    return used.name.rpartition(".")[2].lstrip("_")


def _shown(value: Any) -> str:
    if isinstance(value, tuple | list):
        return "(" + ", ".join(map(_shown, value)) + ")"
    if isinstance(value, int) and value > 2**40:
        return f"…{value % 10**6:06d}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _grouped(names: list[str], most: int = 6) -> Iterator[str]:
    yield from (f"    left out: {name}" for name in names[:most])
    if len(names) > most:
        yield f"    and {len(names) - most} more (all of them: --format json)"


def _whole_name(output: Output) -> str:
    """The name of a tensor for the first of its parts, which are alike."""
    part = output.part
    return part.whole.name if part and not part.number else output.name


def _outputs_named(plan: Plan, name: str) -> list[Output]:
    """The outputs of a name, one in each directory that has it; raises MergeGraphError if none."""
    chosen = [each for each in plan.outputs if name in (each.name, _whole_name(each))]
    if not chosen:
        known = {each.name for each in plan.outputs}
        # the nearest name, not all of them: they are many
        remedy = nearest(name, known).partition("; known")[0]
        raise MergeGraphError(f"--tensor {name}: no output has that name{remedy}")
    return chosen
