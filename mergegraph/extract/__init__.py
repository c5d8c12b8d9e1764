"""The difference of a model and its base as an adapter of low rank."""

from mergegraph.extract.command import check_place, extract, prepare
from mergegraph.extract.fates import Wishes
from mergegraph.extract.survey import Request, Survey, measure, survey

__all__ = ["Request", "Survey", "Wishes", "check_place", "extract", "measure", "prepare", "survey"]
