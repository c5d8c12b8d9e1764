"""A query engine for weights: recipes in, merged checkpoints out."""

from mergegraph.errors import MergeGraphError
from mergegraph.hookspecs import hookimpl
from mergegraph.methods import Between, Method, PerModel, method
from mergegraph.spec import Spec
from mergegraph.tasks import Task, op

__version__ = "0.1.0"

__all__ = [
    "Between",
    "MergeGraphError",
    "Method",
    "PerModel",
    "Spec",
    "Task",
    "hookimpl",
    "method",
    "op",
]
