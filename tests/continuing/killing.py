"""Runs that are killed on their way, of a family with one tensor that is larger than others."""

from __future__ import annotations

import pytest

import mergegraph

NBYTES = 4 * 2_000 * 1_000  # of the large tensor
RECIPES = {
    "linear": "models: [{{model: {root}/a, parameters: {{weight: 0.3}}}}, {{model: {root}/b, "
    "parameters: {{weight: 0.7}}}}]\nmerge_method: linear",
    "slerp": "models: [{{model: {root}/a}}, {{model: {root}/b}}]\nbase_model: {root}/a\n"
    "merge_method: slerp\nparameters: {{t: 0.4}}",
    "ties": "models: [{{model: {root}/a}}, {{model: {root}/b}}]\nbase_model: {root}/base\n"
    "merge_method: ties\nparameters: {{density: 0.5, weight: 0.5}}",
    "della": "models: [{{model: {root}/a}}, {{model: {root}/b}}]\nbase_model: {root}/base\n"
    "merge_method: della\nparameters: {{density: 0.5, weight: 0.5, epsilon: 0.1}}",
}


class KilledError(Exception):
    """Stands for a kill: nothing of the run is done after it."""


class Kill:
    """Ends a run after so many bytes, and counts those that are read until then."""

    def __init__(self, after=1e18):
        self.after = after
        self.read = 0

    def __call__(self, read, _written):
        self.read += read
        if self.read > self.after:
            raise KilledError


def killed(recipe, out, after, **options):
    kill = Kill(after)
    with pytest.raises(KilledError):
        mergegraph.run(recipe, out=out, progress=kill, threads=1, **options)
    return kill.read
