"""The worked numbers of evolutionary merging in the method reference."""

from __future__ import annotations

import pytest
from examples import EXAMPLES

from mergegraph.evolve import genes
from mergegraph.evolve.cmaes import CmaesSampler
from mergegraph.evolve.paths import path_of
from mergegraph.evolve.sampling import default_population


def test_the_population_of_cmaes():
    example = EXAMPLES["cmaes_default_population"]
    found = [default_population(each) for each in example["inputs"]["num_parameters"]]
    assert found == example["expected"]


@pytest.mark.parametrize("count", EXAMPLES["cmaes_default_population"]["inputs"]["num_parameters"])
def test_a_generation_has_that_population(count):
    pytest.importorskip("cmaes")
    own = [genes.steady(str(i), 0, 1, None, is_log=False) for i in range(count)]
    assert len(CmaesSampler(own, seed=0).ask()) == default_population(count)


def test_genotypes_are_decoded():
    example = EXAMPLES["ps_genotype_decode"]
    assert example["params"] == {"allow_negative_weights": False}
    weights, densities = example["inputs"]["genotype_weight_density"], example["expected"]
    weight = genes.weight("w", 0.5, may_be_negative=False)
    density = genes.density("d", 1.0)
    assert [weight.value(w) for w, _ in weights] == pytest.approx(densities["weight"])
    assert [density.value(d) for _, d in weights] == pytest.approx(densities["density"])


def test_a_path_is_what_is_switched_on():
    example = EXAMPLES["dfs_path"]
    inputs = example["inputs"]
    slots = [tuple(each) for each in inputs["layers"]] * inputs["repetitions"]
    # an indicator above 0 is a coordinate above a half
    on = genes.switched_on([(each + 1) / 2 for each in inputs["indicator"]], 0, len(slots))
    found = path_of(slots, on, inputs["scales"])
    told = [[each.model, each.layer, each.scale] for each in found]
    assert told == example["expected"]["path"]
