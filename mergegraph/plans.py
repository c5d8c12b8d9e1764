"""The plan: the tasks that recipes come to, and which of them are outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path

import networkx as nx

from mergegraph.config import Config
from mergegraph.families import Family
from mergegraph.files.checkpoint import Checkpoint
from mergegraph.findings import Check
from mergegraph.models.model import SideFiles
from mergegraph.portions import Portion, divide
from mergegraph.stages.stage import Explained
from mergegraph.tasks import Task
from mergegraph.watching import essential


@dataclass(frozen=True, slots=True)
class Output:
    """A task whose value is to be written, as a tensor of a directory or as a part of one."""

    directory: Path
    name: str
    task: Task
    part: Part | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """A place in a tensor: so many parts of that size stand before it."""

    whole: Output
    number: int


@dataclass(frozen=True)
class Origin:
    """What asked for a result: the text of a recipe, which of its stages, and by which methods.

    `edges` draws the stages: (model or stage, stage that it goes into, the stage's method).
    """

    file: str
    text: str
    stage: str | None
    methods: tuple[str, ...]
    place: str
    edges: tuple[tuple[str, str, str], ...] = ()
    command: str = "run"

    @property
    def name(self) -> str:
        """The name of the recipe: that of its file, without the ending."""
        return Path(self.file).stem


@dataclass(frozen=True)
class Directory:
    """One result: what is written beside the tensors, and what it was made from."""

    path: Path
    origin: Origin
    seed: int
    config: Config
    sides: SideFiles
    parents: tuple[Checkpoint, ...]
    explained: Mapping[str, Explained]
    key: str


@dataclass(frozen=True, slots=True)
class Account:
    """What becomes of a checkpoint's tensors: how many are read, and the names of the others."""

    checkpoint: Checkpoint
    read: int
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """What one command computes: outputs, checks on the way, and their tasks in portions.

    Before a run it is looked whether the models are the families that they are taken for.
    """

    outputs: tuple[Output, ...]
    checks: tuple[Check, ...]
    portions: tuple[Portion, ...]
    directories: tuple[Directory, ...] = ()
    accounts: tuple[Account, ...] = ()
    notes: tuple[str, ...] = ()
    families: tuple[Family, ...] = ()

    @property
    def tasks(self) -> Iterator[Task]:
        """Every task, inputs before users."""
        return chain.from_iterable(portion.tasks for portion in self.portions)

    @cached_property
    def graph(self) -> nx.DiGraph[str]:
        """The keys of all tasks as a graph, the task on each node; edges go to users."""
        graph: nx.DiGraph[str] = nx.DiGraph()
        for task in self.tasks:
            graph.add_node(task.key, task=task)
            graph.add_edges_from((parent.key, task.key) for parent in task.inputs)
        nx.freeze(graph)
        return graph


def plan_of(outputs: Sequence[Output], checks: Sequence[Check]) -> Plan:
    """The plan that computes some outputs, and the checks of what it computes."""
    roots = [each.task for each in outputs]
    portions, due = divide(roots, essential(roots, [*dict.fromkeys(checks)]))
    return Plan(tuple(outputs), due, portions)
