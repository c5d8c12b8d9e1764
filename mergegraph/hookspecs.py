"""The door for plugins: what a package may offer."""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from mergegraph.methods import Method

GROUP = "mergegraph"
hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec
def merge_methods() -> Iterable[Method]:  # type: ignore[empty-body]
    """The merge methods a package offers, made with `@method`."""
