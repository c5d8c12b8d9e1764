"""A query engine for weights: recipes in, merged checkpoints out."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mergegraph.codecs import Codec, Decoded
from mergegraph.errors import MergeGraphError, MergeWarning, nearest
from mergegraph.evaluators import Candidate, Evaluator, evaluator
from mergegraph.factors import Factors
from mergegraph.files.trees import LocalTree, Source, Tree
from mergegraph.hookspecs import hookimpl
from mergegraph.methods import About, Method, Request, method
from mergegraph.parameters import Between, PerModel
from mergegraph.secrecy import discreet
from mergegraph.spec import Spec
from mergegraph.tasks import Task, op

if TYPE_CHECKING:
    from mergegraph.files.alone import check_alone
    from mergegraph.inmemory.memory import merge
    from mergegraph.pipeline import plan, run

__version__ = "0.1.0"

__all__ = [
    "About",
    "Between",
    "Candidate",
    "Codec",
    "Decoded",
    "Evaluator",
    "Factors",
    "LocalTree",
    "MergeGraphError",
    "MergeWarning",
    "Method",
    "PerModel",
    "Request",
    "Source",
    "Spec",
    "Task",
    "Tree",
    "check_alone",
    "discreet",
    "evaluator",
    "hookimpl",
    "merge",
    "method",
    "nearest",
    "op",
    "plan",
    "run",
]


def __dir__() -> list[str]:
    return __all__


_LATER = {
    "check_alone": "mergegraph.files.alone",
    "merge": "mergegraph.inmemory.memory",
    "plan": "mergegraph.pipeline",
    "run": "mergegraph.pipeline",
}


def __getattr__(name: str) -> Any:
    """What plugins do not need is imported when it is asked for, so that help starts fast."""
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module 'mergegraph' has no attribute '{name}'")
