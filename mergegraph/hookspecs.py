"""The door for plugins: what a package may offer."""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from mergegraph.codecs import Codec
from mergegraph.evaluators import Evaluator
from mergegraph.files.trees import Source
from mergegraph.methods import Method

GROUP = "mergegraph"
hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec
def merge_methods() -> Iterable[Method]:  # type: ignore[empty-body]
    """The merge methods a package offers, made with `@method`."""


@hookspec
def model_sources() -> Iterable[Source]:  # type: ignore[empty-body]
    """The places models may come from, each by the scheme that references to it begin with."""


@hookspec
def tensor_codecs() -> Iterable[Codec]:  # type: ignore[empty-body]
    """The schemes of quantisation whose weights a package decodes."""


@hookspec
def evaluators() -> Iterable[Evaluator]:  # type: ignore[empty-body]
    """The examinations of models that a package offers, made with `@evaluator`."""
