"""For the tests of plugins: tiny checkpoints, tasks on tensors in memory, and conformance."""

from mergegraph.testing.checkpoints import tiny_checkpoint, tiny_family
from mergegraph.testing.conformance import check_method
from mergegraph.testing.decoding import check_codec
from mergegraph.testing.evaluation import constant, evaluate, small
from mergegraph.testing.examining import check_evaluator
from mergegraph.testing.kernels import ConformanceError, check_op

__all__ = [
    "ConformanceError",
    "check_codec",
    "check_evaluator",
    "check_method",
    "check_op",
    "constant",
    "evaluate",
    "small",
    "tiny_checkpoint",
    "tiny_family",
]
