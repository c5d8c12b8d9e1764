"""Experts in one tensor: each merged for itself, and written into the tensor of all."""

from __future__ import annotations

import json
from hashlib import sha256

import pytest
import torch
import yaml
from safetensors.torch import load_file

from mergegraph import Spec, merge, op, pipeline
from mergegraph.errors import MergeGraphError
from mergegraph.models.experts import holds_experts, layouts_differ, parts_of, together
from mergegraph.ops import cast, delta
from mergegraph.testing import constant, evaluate
from mergegraph.trust.verification import verify

NAME = "model.layers.0.mlp.experts.down_proj"
CONFIG = {"num_local_experts": 3}
TIES = {"density": 0.3, "weight": 1.0}


@pytest.fixture
def family(checkpoint):
    """A base and two models with experts in one tensor."""
    random = torch.Generator().manual_seed(0)

    def tensors(spread):
        experts = torch.randn(3, 40, 50, generator=random)
        experts *= torch.tensor([1.0, 3.0, 9.0])[:, None, None] * spread
        bias = torch.randn(3, 40, generator=random)
        return {NAME: experts, f"{NAME}_bias": bias, "w": torch.randn(7, generator=random)}

    base = tensors(1.0)
    paths = [checkpoint("base", base, config=CONFIG)]
    for name in "xy":
        change = tensors(0.1)
        tuned = {each: base[each] + change[each] for each in base}
        paths.append(checkpoint(name, tuned, config=CONFIG))
    return paths


@pytest.fixture
def recipe(family, tmp_path):
    base, *models = map(str, family)
    found = {
        "merge_method": "ties",
        "base_model": base,
        "models": [{"model": each} for each in models],
        "parameters": TIES,
        "dtype": "float32",
    }
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(found))
    return tmp_path / "r.yaml"


def test_each_expert_is_merged_as_a_tensor(family, recipe, tmp_path):
    pipeline.run(recipe, out=tmp_path / "out")
    base, x, y = (load_file(path / "model.safetensors") for path in family)
    merged = load_file(tmp_path / "out" / "model.safetensors")
    for name in (NAME, f"{NAME}_bias"):
        for i in range(3):
            models = {"x": {"w": x[name][i]}, "y": {"w": y[name][i]}}
            alone = merge(models, base={"w": base[name][i]}, method="ties", **TIES)
            assert torch.equal(merged[name][i], alone["w"])


def test_in_memory_too(family):
    base, x, y = ({NAME: load_file(path / "model.safetensors")[NAME]} for path in family)
    merged = merge({"x": x, "y": y}, base=base, method="ties", **TIES)
    models = {"x": {"w": x[NAME][1]}, "y": {"w": y[NAME][1]}}
    alone = merge(models, base={"w": base[NAME][1]}, method="ties", **TIES)
    assert torch.equal(merged[NAME][1], alone["w"])


def test_the_manifest_has_the_tensor_of_all(recipe, tmp_path):
    pipeline.run(recipe, out=tmp_path / "out")
    told = json.loads((tmp_path / "out" / "mergegraph.json").read_text())["tensors"]
    stored = load_file(tmp_path / "out" / "model.safetensors")[NAME]
    assert told.keys() == {NAME, f"{NAME}_bias", "w"}
    assert told[NAME]["sha256"] == sha256(stored.numpy().tobytes()).hexdigest()
    assert not verify(tmp_path / "out").differences


def test_every_tensor_is_accounted_for(recipe, tmp_path):
    plan = pipeline.plan(recipe, out=tmp_path / "out").plan
    assert [(each.read, each.left_out) for each in plan.accounts] == [(3, ())] * 3


def test_it_takes_the_memory_of_an_expert(checkpoint, tmp_path):
    names = []
    for name in ("a", "b"):
        tensor = torch.full((8, 1024, 1024), 1.0 if name == "a" else 3.0)
        path = checkpoint(name, {NAME: tensor}, config={"num_experts": 8})
        names.append({"model": str(path), "parameters": {"weight": 1}})
    (tmp_path / "r.yaml").write_text(yaml.safe_dump({"merge_method": "linear", "models": names}))
    pipeline.run(tmp_path / "r.yaml", out=tmp_path / "out", memory="12MiB")
    assert (load_file(tmp_path / "out" / "model.safetensors")[NAME] == 2).all()


def test_what_was_finished_is_not_done_again(recipe, tmp_path):
    prepared = pipeline.prepare([recipe], out=tmp_path / "out")
    seen = []

    def stop(read, written):
        seen.append(written)
        if sum(map(bool, seen)) > 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pipeline.finish(prepared, progress=stop)
    again = pipeline.prepare([recipe], out=tmp_path / "out")
    assert len(again.schedule.outputs) < len(prepared.schedule.outputs)
    pipeline.finish(again)
    assert not verify(tmp_path / "out").differences
    pipeline.run(recipe, out=tmp_path / "fresh")
    fresh, found = (tmp_path / each / "model.safetensors" for each in ("fresh", "out"))
    assert fresh.read_bytes() == found.read_bytes()


def test_stages_hand_experts_on_one_by_one(family, tmp_path):
    base, x, y = map(str, family)
    both = {"merge_method": "linear", "parameters": {"weight": 1}}
    first = {**both, "name": "first", "models": [{"model": x}, {"model": y}]}
    second = {**both, "models": [{"model": "first"}, {"model": base}]}
    (tmp_path / "r.yaml").write_text(yaml.safe_dump_all([first, second]))
    pipeline.run(tmp_path / "r.yaml", out=tmp_path / "out")
    a, b, c = (load_file(path / "model.safetensors")[NAME] for path in family)
    merged = load_file(tmp_path / "out" / "model.safetensors")[NAME]
    torch.testing.assert_close(merged, (a + (b + c) / 2) / 2)
    plan = pipeline.plan(tmp_path / "r.yaml", out=tmp_path / "out").plan
    assert not any(task.op.name.endswith(".stack") for task in plan.tasks)


def test_experts_stored_in_different_ways_are_told_of(checkpoint, tmp_path):
    fused = checkpoint("fused", {NAME: torch.zeros(2, 3, 4)}, config={"num_experts": 2})
    alone = {f"model.layers.0.mlp.experts.{i}.down_proj.weight": torch.zeros(3, 4) for i in (0, 1)}
    single = checkpoint("single", alone, config={"num_experts": 2})
    models = [{"model": str(each), "parameters": {"weight": 1}} for each in (fused, single)]
    for missing in ("error", "skip"):
        found = {"merge_method": "linear", "models": models, "on_missing": missing}
        (tmp_path / "r.yaml").write_text(yaml.safe_dump(found))
        with pytest.raises(MergeGraphError, match="store their experts in different ways"):
            pipeline.plan(tmp_path / "r.yaml", out=tmp_path / "out")


# -- parts -----------------------------------------------------------------------------------


def test_parts_of_what_is_computed_are_computed_alone():
    one, other = (constant(torch.randn(3, 4, 5, generator=torch.Generator())) for _ in "ab")
    change = cast(delta(one, other), "bfloat16")
    parts = parts_of(change)
    assert {task.spec for task in parts} == {Spec((4, 5), "bfloat16")}
    assert all("._row" not in task.op.name for task in parts)
    for i, part in enumerate(parts):
        assert torch.equal(evaluate(part), evaluate(change)[i])


def test_parts_of_what_needs_the_whole_are_cut_from_it():
    doubled = _doubled(constant(torch.arange(24.0).reshape(2, 3, 4)))
    assert torch.equal(evaluate(parts_of(doubled)[1]), 2 * torch.arange(12, 24.0).reshape(3, 4))


def test_parts_of_parts_are_these():
    parts = [constant(torch.full((2, 2), float(i))) for i in range(3)]
    assert list(parts_of(together(parts))) == parts


@op
def _doubled(tensor):
    return tensor * 2


@pytest.mark.parametrize(
    ("name", "shape", "config", "holds"),
    [
        (NAME, (4, 2, 3), {"num_experts": 4}, True),
        (NAME, (4, 2, 3), {"text_config": {"num_local_experts": 4}}, True),
        (NAME, (4, 2, 3), {}, True),
        (NAME, (5, 2, 3), {"num_experts": 4}, False),
        (f"{NAME}_bias", (4, 2), {"num_experts": 4}, True),
        (f"{NAME}_bias", (4, 2), {}, False),
        ("model.layers.0.moe.input_linear.weight", (4, 2, 3), {"num_local_experts": 4}, True),
        ("model.layers.0.mixer.conv1d.weight", (4, 1, 3), {}, False),
        ("model.layers.0.mlp.experts.3.w1.weight", (4, 2), {"num_experts": 4}, False),
        ("experts.down_proj", (4, 2, 3), {"num_experts": 4}, False),
    ],
)
def test_which_tensors_hold_experts(name, shape, config, holds):
    assert holds_experts(name, Spec(shape, "float32"), config) == holds


def test_layouts_are_told_by_names():
    alone = ["model.layers.0.moe.experts.0.w1.weight"]
    assert layouts_differ(NAME, alone)
    assert layouts_differ(alone[0], [NAME])
    assert not layouts_differ(NAME, ["model.layers.1.moe.experts.0.w1.weight"])
