"""The bond of unfinished work: what it has in common with every run that may go on with it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256

from mergegraph.plans import Directory
from mergegraph.settings import Settings
from mergegraph.writing.shards import Shard

Bond = Mapping[str, str]  # a digest of each thing, by what it is called for people

_PLAN, _DEVICE, _FILES = "the plan", "the device", "the layout of the files"
_RECIPE = "the recipe"
_OTHERS = "installed packages, side files or stages before it"


def bond_of(directory: Directory, shards: Sequence[Shard], settings: Settings) -> Bond:
    """The bond of a result: its plan, on what device, and how its files are laid out.

    What it tells besides is in the plan already: it is there to say what has changed.
    """
    layout = [f"{each.file} {sha256(each.header).hexdigest()}" for each in shards]
    return {
        _PLAN: directory.key,
        _RECIPE: _digest(directory.origin.text),
        "the changes to the recipe": _digest(*settings.overrides),
        "the seed": _digest(str(directory.seed)),
        _DEVICE: _digest("cuda" if settings.is_on_device else "cpu"),
        _FILES: _digest(*layout),
        **dict(_inputs(directory)),
    }


def changes(before: Bond, now: Bond) -> str:
    """What has changed, for people, if that keeps a run from going on; else nothing."""
    told = [key for key in {**now, **before} if before.get(key) != now.get(key)]
    if not {_PLAN, _DEVICE, _FILES} & set(told):
        return ""
    others = [key for key in told if key not in (_PLAN, _RECIPE)]
    if others:  # the text of a recipe may have changed in a comment
        return ", ".join(others)
    return _RECIPE if _RECIPE in told else _OTHERS


def _inputs(directory: Directory) -> Iterator[tuple[str, str]]:
    for each in directory.parents:
        yield f"the input {each.reference}", _digest(*(e.identity for e in each.entries.values()))


def _digest(*texts: str) -> str:
    return sha256(json.dumps(texts).encode()).hexdigest()[:32]
