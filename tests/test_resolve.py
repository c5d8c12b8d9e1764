"""Parameters that nothing sets."""

from __future__ import annotations

import pytest

import mergegraph
from mergegraph import MergeGraphError


def test_a_base_that_is_one_more_model_is_told(checkpoint, tmp_path):
    one, base = (checkpoint(name, {"w": [1.0]}) for name in ("one", "base"))
    recipe = tmp_path / "recipe.yaml"
    models = f"[{{model: {one}, parameters: {{weight: 1}}}}]"
    recipe.write_text(f"merge_method: linear\nbase_model: {base}\nmodels: {models}\n")
    told = r"linear takes no base: base_model .*base is one more model of it, and nothing sets its "
    told += "weight; list it under models with a weight, set weight for all models, or leave"
    with pytest.raises(MergeGraphError, match=told):
        mergegraph.plan(recipe)
