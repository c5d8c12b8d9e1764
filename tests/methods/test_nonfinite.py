"""NaN and infinity in the inputs: every method under every policy."""

from __future__ import annotations

import pytest
import torch

import mergegraph
from mergegraph import MergeGraphError
from mergegraph.errors import MergeWarning
from mergegraph.plugins import installed_plugins

METHODS = installed_plugins().methods
WITHOUT_DIRECTIONS = {"iso_c", "iso_cts", "knots", "star", "tsv_merge"}  # NaN has none
every_method = pytest.mark.parametrize("name", METHODS)


def merged(name: str, policy: str) -> dict[str, torch.Tensor]:
    """Three models, or as many as the method takes; one entry of each is not finite."""
    method = METHODS[name]
    random = torch.Generator().manual_seed(0)
    base = {"w": torch.randn(6, 8, generator=random), "n": torch.randn(8, generator=random)}
    models = {}
    for i in range(1 if name == "slerp" else int(min(3, method.counts.high or 3))):
        own = {
            k: each + 0.1 * torch.randn(each.shape, generator=random) for k, each in base.items()
        }
        own["w"][1, i] = float("nan")
        own["n"][i] = float("inf")
        models[f"m{i}"] = own
    values = {p.name: p.problem(0.5) or 0.5 for p in method.parameters.values() if p.required}
    values = {key: 1 if isinstance(value, str) else value for key, value in values.items()}
    given = {"base": base if method.takes_base else None, "on_nonfinite": policy}
    return mergegraph.merge(models, method=name, **given, **values)


@every_method
def test_by_default_a_merge_of_nan_is_refused(name):
    with pytest.raises(MergeGraphError, match=r"m\d: [wn] has NaN or infinite entries"):
        merged(name, "raise")


@every_method
def test_entries_of_the_base_may_stand_for_them(name):
    if name == "passthrough":
        with pytest.raises(MergeGraphError, match="no base or other model could stand in"):
            merged(name, "base")
    else:
        with pytest.warns(MergeWarning) as told:
            found = merged(name, "base")
        assert "entries, replaced by the" in str(told[0].message)
        assert all(each.isfinite().all() for each in found.values())


@every_method
def test_they_may_go_on_or_are_refused_with_a_sentence(name):
    if name in WITHOUT_DIRECTIONS:
        with pytest.raises(MergeGraphError, match=r"^w: .* has no directions; set on_nonfinite"):
            merged(name, "propagate")
    else:
        with pytest.warns(MergeWarning) as told:
            merged(name, "propagate")
        assert "m0: NaN or infinite entries: w (1), n (1)" in str(told[0].message)
