"""The Language Model Evaluation Harness, kept quiet and away from the network."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

from mergegraph import MergeGraphError, nearest
from mergegraph_evaluators.parts.loading import quietly

_LOUD = ("lm_eval", "datasets", "huggingface_hub", "evaluate")
_READY = ("lm_eval", "datasets")  # imported while the words below are what they were
_OFFLINE = ("huggingface_hub.constants", "datasets.config")


@contextmanager
def harness(*, network: bool) -> Iterator[None]:
    """Let it say nothing meanwhile, leave the random numbers of others alone, and fetch nothing.

    One thread at a time: it seeds the generators of the whole process.
    """
    with ExitStack() as stack:
        stack.enter_context(quietly())
        from tqdm.std import tqdm

        for name in _READY:
            import_module(name)
        stack.enter_context(patch.object(tqdm, "__init__", _without_bar(tqdm)))
        stack.enter_context(_own_chance())
        for name in () if network else _OFFLINE:
            stack.enter_context(patch.object(import_module(name), "HF_HUB_OFFLINE", new=True))
        for name in _LOUD:
            stack.enter_context(_level(logging.getLogger(name), logging.CRITICAL))
        yield


@contextmanager
def _level(logger: logging.Logger, level: int) -> Iterator[None]:
    before = logger.level
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)


def check_tasks(names: Sequence[str], include_path: str | None) -> None:
    """Raise MergeGraphError where there is no task of a name."""
    manager = manager_of(names, include_path)
    for each in names:
        if each not in manager.task_index:
            told = nearest(each, manager.task_index, only_close=True)
            raise MergeGraphError(f"lm_eval has no task '{each}'{told}; see include_path")


def load_tasks(names: Sequence[str], include_path: str | None, *, network: bool) -> dict[str, Any]:
    """Tasks with their documents, groups taken apart; raises MergeGraphError."""
    try:
        loaded = manager_of(names, include_path).load(list(names))
    except Exception as error:
        told = (str(error).strip() or type(error).__name__).splitlines()[0]
        remedy = "" if network else "; what is not on this machine only network=true fetches"
        raise MergeGraphError(f"{'+'.join(names)} cannot be loaded: {told}{remedy}") from error
    found: dict[str, Any] = loaded["tasks"]
    return found


def manager_of(names: Sequence[str], include_path: str | None) -> Any:
    """What knows the tasks: those of a folder alone if all are there, as looking at all is slow."""
    alone = _manager(include_path, has_others=False) if include_path else None
    if alone is not None and set(names) <= set(alone.task_index):
        return alone
    return _manager(include_path, has_others=True)


@lru_cache(maxsize=8)
def _manager(include_path: str | None, *, has_others: bool) -> Any:
    from lm_eval.tasks import TaskManager

    own = [str(Path(each).expanduser()) for each in include_path.split("+")] if include_path else []
    return TaskManager(include_path=own or None, include_defaults=has_others)


def _without_bar(kind: Any) -> Any:
    made = kind.__init__

    def begin(self: Any, *given: Any, **named: Any) -> None:
        made(self, *given, **{**named, "disable": True})

    return begin


@contextmanager
def _own_chance() -> Iterator[None]:
    """Put the states of all generators back that the harness seeds."""
    import random

    import numpy as np
    import torch

    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
