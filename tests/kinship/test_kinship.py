"""Kinship: the numbers of the reference, laws, what is left out, and what is refused."""

from __future__ import annotations

import json
import sys
from itertools import combinations
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from mergegraph import MergeGraphError
from mergegraph.cli import app
from mergegraph.errors import RunError
from mergegraph.kinship import Kinship, TensorSums, from_text, kinship_of, to_json, to_text
from mergegraph.kinship.kinds import kind_of
from mergegraph.kinship.metrics import METRICS, Sums, mean
from mergegraph.ops.moments import moments, moments_of
from mergegraph.pipeline import run
from mergegraph.settings import Settings

sys.path.insert(0, str(Path(__file__).parents[1] / "methods"))
from examples import examples

Q = "model.layers.{}.self_attn.q_proj.weight"
UP = "model.layers.{}.mlp.up_proj.weight"
TABLE = "model.embed_tokens.weight"


def randn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def oracle(base, models, metric):
    """Every pair over whole models at once, in double precision."""
    deltas = [torch.cat([(m[n] - base[n]).double().flatten() for n in base]) for m in models]
    if metric == "pcc":
        deltas = [each - each.mean() for each in deltas]
    if metric == "euclidean":
        return [[(a - b).norm().item() for b in deltas] for a in deltas]
    return [[(a @ b / a.norm() / b.norm()).item() for b in deltas] for a in deltas]


@pytest.fixture
def family(checkpoint):
    """Write models, `family(base, a, b)`; the references of all."""

    def write(*models, config=None):
        return [
            str(checkpoint(f"m{i}", each, config=config or {})) for i, each in enumerate(models)
        ]

    return write


@pytest.fixture(scope="session")
def kinship_in_memory(task_of, whole):
    """The kinship of tensors in memory: `kinship_in_memory(base, [a, b])`."""

    def measure(base, models):
        tensors = [torch.tensor(each, dtype=torch.float32) for each in (base, *models)]
        value = moments_of(whole(moments(*map(task_of, tensors))), len(models))
        tables = [tuple(map(tuple, each.tolist())) for each in (value.dots, value.same)]
        opposite = tuple(map(tuple, value.opposite.tolist()))
        sums = tuple(value.sums.tolist())
        found = Sums(tensors[0].numel(), value.base, sums, *tables, opposite)
        names = tuple(map(str, range(len(models))))
        return Kinship("base", names, (TensorSums("w", "other", None, found),))

    return measure


@examples("kinship")
def test_pairs(example, kinship_in_memory):
    found = kinship_in_memory(example["inputs"]["base"], example["inputs"]["models"])
    for metric, values in example["expected"].items():
        for (i, j), wanted in zip(example["params"]["pairs"], values, strict=True):
            expected = wanted if wanted is None else pytest.approx(wanted, abs=1e-6)
            assert found.pair(i, j, metric) == expected


@examples("kinship_group")
def test_the_kinship_of_a_group_is_the_mean_of_its_pairs(example, kinship_in_memory):
    found = kinship_in_memory(example["inputs"]["base"], example["inputs"]["models"])
    assert found.group(example["params"]["metric"]) == pytest.approx(example["expected"], abs=1e-6)


# -- laws ------------------------------------------------------------------------------------

NUMBERS = st.lists(st.integers(-8, 8), min_size=4, max_size=4)


@given(a=NUMBERS, b=NUMBERS, factor=st.sampled_from([0.5, 2.0, 4.0]), shift=st.integers(-4, 4))
@settings(max_examples=60, deadline=None)
def test_laws_of_section_15(a, b, factor, shift, kinship_in_memory):
    zero = [0.0] * 4
    scaled, shifted = [factor * each for each in a], [each + shift for each in a]
    found = kinship_in_memory(zero, [a, b, a, scaled, shifted])
    for metric in METRICS:
        assert found.pair(0, 1, metric) == found.pair(1, 0, metric)
        assert found.pair(0, 1, metric) == found.pair(2, 1, metric)
    assert found.pair(0, 2, "cosine") in (1.0, None)
    assert found.pair(0, 2) in (1.0, None)
    assert found.pair(0, 2, "euclidean") == 0
    for metric in ("pcc", "cosine"):
        assert found.pair(3, 1, metric) == pytest.approx(found.pair(0, 1, metric))
    assert found.pair(4, 1) == pytest.approx(found.pair(0, 1), abs=1e-6)
    assert (found.pair(0, 1) is None) == (len({*a}) == 1 or len({*b}) == 1)
    assert (found.pair(0, 1, "cosine") is None) == (not any(a) or not any(b))


def test_what_is_undefined_is_left_out_of_means(kinship_in_memory):
    found = kinship_in_memory([0.0, 0, 0], [[1, 2, 3], [3, 1, 2], [0, 0, 0]])
    assert found.matrix()[2] == (None, None, None)
    assert found.group() == found.pair(0, 1)
    assert found.group(among=(0, 2)) is None
    assert mean([]) is None


def test_the_kinship_of_a_set_is_that_of_its_pairs_alone(kinship_in_memory):
    found = kinship_in_memory([0.0, 0, 0], [[1, 2, 3], [3, 1, 2], [1, 2, 2]])
    assert found.group(among=("0", "2")) == found.pair(0, 2)


def test_signs_are_counted_where_both_have_changed(kinship_in_memory):
    found = kinship_in_memory([0.0] * 4, [[1, -1, 1, 0], [2, -3, -1, 5]]).signs(0, 1)
    assert (found.same, found.opposite, found.agreement) == (0.5, 0.25, pytest.approx(2 / 3))


# -- whole models ----------------------------------------------------------------------------


def models_like(base, count):
    return [
        {n: each + 0.1 * randn(*each.shape, seed=100 * i + len(n)) for n, each in base.items()}
        for i in range(1, count + 1)
    ]


BASE = {
    TABLE: randn(30, 8, seed=1),
    **{Q.format(i): randn(8, 8, seed=2 + i) for i in range(2)},
    **{UP.format(i): randn(16, 8, seed=5 + i) for i in range(2)},
    "model.norm.weight": torch.ones(8),
}


@pytest.mark.parametrize("metric", METRICS)
def test_all_entries_together_are_those_of_the_plain_formula(metric, family):
    models = models_like(BASE, 3)
    found = kinship_of(*family(BASE, *models))
    wanted = torch.tensor(oracle(BASE, models, metric))
    torch.testing.assert_close(torch.tensor(found.matrix(metric)), wanted, rtol=0, atol=1e-6)
    pairs = [wanted[i, j].item() for i, j in combinations(range(3), 2)]
    assert found.group(metric) == pytest.approx(sum(pairs) / 3, abs=1e-6)


@pytest.mark.parametrize("metric", METRICS)
def test_parts_are_those_of_the_plain_formula(metric, family):
    models = models_like(BASE, 2)
    found = kinship_of(*family(BASE, *models))

    def wanted(*names):
        chosen = {name: BASE[name] for name in names}
        return pytest.approx(oracle(chosen, models, metric)[0][1], abs=1e-6)

    assert found.by_layer(metric)["model.layers.1"][0][1] == wanted(Q.format(1), UP.format(1))
    assert found.by_kind(metric)["attention q"][0][1] == wanted(Q.format(0), Q.format(1))
    assert {*found.by_kind(metric)} == {"embedding", "attention q", "mlp", "norm"}
    each = {name: oracle({name: BASE[name]}, models, metric)[0][1] for name in BASE}
    assert {n: t[0][1] for n, t in found.by_tensor(metric).items()} == pytest.approx(each, abs=1e-6)
    sizes = {name: tensor.numel() for name, tensor in BASE.items()}
    total = sum(sizes[name] * each[name] for name in BASE) / sum(sizes.values())
    assert found.pair(0, 1, metric, aggregate="per_tensor") == pytest.approx(total, abs=1e-6)


def test_norms_are_those_of_base_and_changes(family):
    (model,) = models_like(BASE, 1)
    found = kinship_of(*family(BASE, model)).norms
    flat = torch.cat([each.flatten() for each in BASE.values()])
    change = torch.cat([(model[name] - BASE[name]).flatten() for name in BASE])
    assert found.base == pytest.approx(flat.norm().item(), rel=1e-6)
    assert found.changes == (pytest.approx(change.norm().item(), rel=1e-6),)


def test_every_budget_and_thread_gives_the_same_bits(family):
    base = {"a.weight": randn(700, 600), "b.weight": randn(10, 3, seed=1)}
    references = family(base, *models_like(base, 2))
    one = to_text(kinship_of(*references, settings=Settings("1GiB", 1)))
    assert one == to_text(kinship_of(*references, settings=Settings("64MiB", 2)))
    assert from_text(one) == from_text(to_text(from_text(one)))


def test_rows_beyond_the_common_vocabulary_are_left_out_and_told(family):
    grown = {**BASE, TABLE: torch.cat([BASE[TABLE] + 0.1, randn(4, 8)])}
    found = kinship_of(*family(BASE, grown, models_like(BASE, 1)[0]))
    table = next(each for each in found.tensors if each.name == TABLE)
    assert table.sums.entries == 30 * 8
    assert table.sums.dots[0][0] == pytest.approx(30 * 8 * 0.01, rel=1e-5)
    assert any(f"{TABLE}: the first 30 rows are compared" in note for note in found.notes)


def test_what_is_not_shared_is_told(family):
    base = {**BASE, "steps": torch.tensor([3]), "extra.weight": torch.ones(2)}
    model = {**models_like(BASE, 1)[0], "steps": torch.tensor([4]), "v_head.weight": torch.ones(2)}
    references = family(base, model)
    found = kinship_of(*references)
    told = "\n".join(found.notes)
    assert f"left out, {references[1]} has no such tensor: extra.weight" in told
    assert f"left out, {references[0]} has no such tensor: v_head.weight" in told
    assert "left out, whole numbers: steps" in told
    assert {each.name for each in found.tensors} == BASE.keys()


@pytest.mark.parametrize("says", ["base", "models"])
def test_a_head_that_is_the_embedding_is_counted_once(says, family, checkpoint):
    config = {"architectures": ["LlamaForCausalLM"], "tie_word_embeddings": True}
    model = {**models_like(BASE, 1)[0], "lm_head.weight": randn(30, 8, seed=9)}
    (base,) = family({**BASE, "lm_head.weight": BASE[TABLE].clone()}, config=config)
    own = config if says == "base" else {**config, "tie_word_embeddings": False}
    found = kinship_of(base, str(checkpoint("tuned", model, config=own)))
    assert ("lm_head.weight" in found.by_tensor()) == (says == "models")
    assert any("lm_head.weight: is the embedding" in note for note in found.notes)


def test_names_may_differ_by_what_stands_before_them(family):
    (model,) = models_like(BASE, 1)
    other = {f"language_model.{name}": each for name, each in model.items()}
    found = kinship_of(*family(BASE, other, model))
    assert found.pair(0, 1, "euclidean") == 0


# -- what is told and refused ----------------------------------------------------------------


def test_equal_models_and_the_base_are_told(family):
    (model,) = models_like(BASE, 1)
    base, *rest = family(BASE, model, model, BASE)
    found = kinship_of(base, *rest)
    assert f"{rest[0]} and {rest[1]} are equal in every shared entry" in found.notes
    assert f"{rest[2]} equals the base {base}: it has no kinship with any other" in found.notes
    assert found.pair(0, 2) is None


def test_a_base_of_another_family_is_told(family):
    def stranger(seed):
        return {Q.format(i): randn(64, 64, seed=seed + i) for i in range(6)}

    base, model = family(stranger(0), stranger(100))
    told = kinship_of(base, model).notes
    assert any("does not look like a fine-tune of the base" in note for note in told)


def test_entries_that_are_no_numbers_are_refused_by_name(family):
    models = models_like(BASE, 2)
    models[1][Q.format(0)][0, 0] = float("nan")
    references = family(BASE, *models)
    name = Q.format(0)
    with pytest.raises(RunError, match=f"{name}: has NaN or infinite entries in {references[2]}"):
        kinship_of(*references)


def test_shapes_that_differ_are_refused(family):
    model = {**models_like(BASE, 1)[0], Q.format(0): randn(4, 8)}
    with pytest.raises(MergeGraphError, match=r"q_proj.weight: shapes differ"):
        kinship_of(*family(BASE, model))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["demo:north", "demo:north"], "is there twice"),
        (["demo:north", "--metric", "pc"], "no metric 'pc'; did you mean 'pcc'?"),
        (["demo:north", "--aggregate", "mean"], "no aggregate 'mean'"),
        (["demo:north", "--by", "kin"], "did you mean 'kind'"),
        (["demo:north", "--format", "yaml"], "--format yaml: not known"),
        (["missing.yaml"], "missing.yaml: cannot be read"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(arguments, told):
    found = CliRunner().invoke(app, ["kinship", "--base", "demo:base", *arguments])
    assert told in str(found.exception)
    assert isinstance(found.exception, MergeGraphError)


# -- recipes ---------------------------------------------------------------------------------

RECIPE = """
name: average
merge_method: linear
models: [{model: demo:north}, {model: demo:south}]
parameters: {weight: 0.5}
---
name: mixed
merge_method: slerp
base_model: average
models: [{model: average}, {model: demo:east}]
parameters: {t: 0.4}
"""


def test_a_recipe_is_the_model_it_would_make(tmp_path):
    (tmp_path / "r.yaml").write_text(RECIPE)
    run(tmp_path / "r.yaml", out=tmp_path / "out")
    reference = str(tmp_path / "r.yaml")
    made = kinship_of("demo:base", "demo:north", str(tmp_path / "out"))
    planned = kinship_of("demo:base", "demo:north", reference, f"{reference}#average")
    assert made.tensors[3].sums.dots[0][1] == planned.tensors[3].sums.dots[0][1]
    assert made.matrix()[0][1] == planned.matrix()[0][1]
    assert planned.pair("demo:north", f"{reference}#average") > 0.6


def test_stages_of_a_text_are_models_by_their_names():
    text = RECIPE + "---\nname: idle\nmerge_method: passthrough\nmodels: [{model: demo:east}]\n"
    found = kinship_of("demo:base", "average", "idle", "demo:east", recipe=text)
    assert found.names == ("average", "idle", "demo:east")
    assert found.pair("idle", "demo:east") == 1


def test_what_is_wrong_with_a_recipe_is_told(tmp_path):
    (tmp_path / "r.yaml").write_text("merge_method: linea\nmodels: [{model: demo:north}]\n")
    with pytest.raises(MergeGraphError, match=r"r.yaml:1:15.*linear"):
        kinship_of("demo:base", str(tmp_path / "r.yaml"))
    (tmp_path / "r.yaml").write_text(RECIPE)
    with pytest.raises(MergeGraphError, match="has no stage 'mixt'; did you mean 'mixed'"):
        kinship_of("demo:base", f"{tmp_path / 'r.yaml'}#mixt")


# -- the command -----------------------------------------------------------------------------


def test_json_is_what_python_gives():
    arguments = ["kinship", "--base", "demo:base", "demo:north", "demo:south", "--format", "json"]
    told = json.loads(CliRunner().invoke(app, [*arguments, "--quiet"]).stdout)
    assert told == json.loads(json.dumps(to_json(kinship_of("demo:base", *arguments[3:5]))))
    assert told["kinship"]["global"]["pcc"]["group"] == pytest.approx(0.1252, abs=1e-4)


@pytest.mark.parametrize("by", ["layer", "kind", "tensor"])
def test_parts_are_shown(by):
    arguments = ["kinship", "--base", "demo:base", "demo:north", "demo:south", "--by", by, "-q"]
    told = CliRunner().invoke(app, arguments).stdout
    rows = {"layer": "model.layers.5 ", "kind": "attention o ", "tensor": Q.format(5)}
    assert any(line.startswith(rows[by]) for line in told.splitlines())


@pytest.mark.parametrize(
    ("text", "told"),
    [("{", "is not JSON"), ('{"schema": "x"}', "schema 'x' is not"), ("[]", "schema None")],
)
def test_what_is_no_record_is_refused(text, told):
    with pytest.raises(MergeGraphError, match=told):
        from_text(text, "k.json")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (TABLE, "embedding"),
        ("lm_head.weight", "head"),
        ("model.layers.3.self_attn.k_proj.bias", "attention k"),
        ("model.layers.3.self_attn.o_proj.weight", "attention o"),
        ("model.layers.3.self_attn.q_norm.weight", "norm"),
        ("model.layers.3.post_attention_layernorm.weight", "norm"),
        ("model.layers.3.mlp.experts.7.down_proj.weight", "mlp"),
        ("model.layers.3.block_sparse_moe.experts.1.w1.weight", "mlp"),
        ("transformer.h.1.attn.c_attn.weight", "attention qkv"),
        ("transformer.h.1.attn.c_proj.weight", "attention o"),
        ("transformer.h.1.mlp.c_proj.weight", "mlp"),
        ("transformer.h.1.ln_1.weight", "norm"),
        ("transformer.wpe.weight", "embedding"),
        ("bert.encoder.layer.1.attention.self.query.weight", "attention q"),
        ("bert.encoder.layer.1.attention.output.dense.weight", "attention o"),
        ("bert.encoder.layer.1.output.dense.weight", "mlp"),
        ("bert.encoder.layer.1.output.LayerNorm.weight", "norm"),
        ("model.layers.0.mixer.A_log", "other"),
    ],
)
def test_kinds_are_told_by_names(name, kind):
    assert kind_of(name) == kind
