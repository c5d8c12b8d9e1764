"""Patterns: the tasks that stand on some inputs, to be put on other inputs of the same kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mergegraph.tasks import Task, definition, key_of, walk

_Step = tuple[Task, str, tuple[int, ...]]  # a task, its definition, and the places of its inputs


@dataclass(frozen=True)
class Pattern:
    """Tasks in order, whose inputs are told by their places: inputs first, then the tasks.

    Making a task again takes a third of the time of defining it: what shapes come to, and whether
    they fit, is known.
    """

    steps: tuple[_Step, ...]
    result: int

    def on(self, inputs: Sequence[Task]) -> Task:
        """The result, of other inputs."""
        made = list(inputs)
        for task, defined, places in self.steps:
            given = tuple([made[place] for place in places])
            key = key_of(defined, given)
            made.append(Task(task.op, given, task.numbers, task.spec, key, task.is_small))
        return made[self.result]


def pattern_of(result: Task, inputs: Sequence[Task]) -> Pattern | None:
    """The pattern in which a result stands on inputs; None if it stands on anything else, too."""
    places = {task.key: i for i, task in enumerate(inputs)}
    if len(places) < len(inputs):
        return None  # the same input twice: which is meant cannot be told
    steps = []
    for task in walk(result, above=inputs):
        if not task.inputs:
            return None
        places[task.key] = len(places)
        at = tuple(places[each.key] for each in task.inputs)
        steps.append((task, definition(task.op, task.numbers, task.spec), at))
    return Pattern(tuple(steps), places[result.key])


def kind_of(task: Task) -> tuple[Any, ...]:
    """What ops look at in an input: its op and its spec, and the specs of what it is made of."""
    return (task.op, task.spec, *[each.spec for each in task.inputs])
