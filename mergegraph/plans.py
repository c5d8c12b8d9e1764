"""The plan: the graph of tasks that recipes come to, and which of them are outputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import networkx as nx

from mergegraph.checkpoint import Checkpoint
from mergegraph.config import Config
from mergegraph.findings import Check
from mergegraph.model import SideFiles
from mergegraph.recipe import Recipe, Stage
from mergegraph.stage import Explained
from mergegraph.tasks import Task, walk


@dataclass(frozen=True)
class Output:
    """A task whose value is to be written, as a tensor of a directory."""

    directory: Path
    name: str
    task: Task


@dataclass(frozen=True)
class Directory:
    """One result: what is written beside the tensors, and what it was made from."""

    path: Path
    recipe: Recipe
    stage: Stage
    seed: int
    config: Config
    sides: SideFiles
    parents: tuple[Checkpoint, ...]
    explained: Mapping[str, Explained]
    key: str


@dataclass(frozen=True)
class Account:
    """What becomes of a checkpoint's tensors: how many are read, and the names of the others."""

    checkpoint: Checkpoint
    read: int
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """The tasks of one command as a graph whose edges go from inputs to users."""

    graph: nx.DiGraph[str]
    outputs: tuple[Output, ...]
    checks: tuple[Check, ...]
    directories: tuple[Directory, ...] = ()
    accounts: tuple[Account, ...] = ()
    notes: tuple[str, ...] = ()

    def task(self, key: str) -> Task:
        """The task of a node."""
        found: Task = self.graph.nodes[key]["task"]
        return found

    @property
    def tasks(self) -> Iterable[Task]:
        """Every task, inputs before users."""
        return (self.task(key) for key in self.graph)


def plan_of(outputs: Sequence[Output], checks: Sequence[Check]) -> Plan:
    """The plan that computes some outputs, and some checks on the way."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    for task in walk(*(each.task for each in outputs), *(each.task for each in checks)):
        graph.add_node(task.key, task=task)
        graph.add_edges_from((parent.key, task.key) for parent in task.inputs)
    return Plan(nx.freeze(graph), tuple(outputs), tuple(checks))
