"""The demo family: the small trained models that come with mergegraph, as `demo:NAME`."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

from mergegraph import LocalTree, MergeGraphError, Source, hookimpl, nearest

SCHEME = "demo"


def open_demo(name: str) -> LocalTree:
    """The files of a model of the family; raises MergeGraphError if there is none of the name."""
    family = Path(str(files("mergegraph") / "demo" / "family"))
    known = sorted(each.name for each in family.glob("*") if (each / "config.json").is_file())
    if name not in known:
        raise MergeGraphError(f"{SCHEME}:{name}: not in the demo family{nearest(name, known)}")
    return LocalTree(family / name, f"{SCHEME}:{name}")


@hookimpl
def model_sources() -> Iterable[Source]:
    """Offer the family."""
    return [Source(SCHEME, open_demo)]
