"""Kinship: how alike models are in what they have made of a common base (arXiv:2410.12613)."""

from mergegraph.kinship.measuring import Survey, kinship_of, measure, survey
from mergegraph.kinship.members import Request
from mergegraph.kinship.record import from_json, from_text, to_json, to_text
from mergegraph.kinship.values import Kinship, Norms, Signs, TensorSums

__all__ = [
    "Kinship",
    "Norms",
    "Request",
    "Signs",
    "Survey",
    "TensorSums",
    "from_json",
    "from_text",
    "kinship_of",
    "measure",
    "survey",
    "to_json",
    "to_text",
]
