"""The whole way, on real files: results, interruptions, and what stands in the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from functools import reduce
from hashlib import sha256

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import mergegraph
from mergegraph import MergeGraphError, pipeline, preparing, strips
from mergegraph.errors import RunError
from mergegraph.machine import Disk
from mergegraph.scheduling import fitting, schedule
from mergegraph.settings import Settings
from mergegraph.trust.verification import verify
from mergegraph.writing import room
from mergegraph.writing.result import MANIFEST
from mergegraph.writing.writer import Writer

LINEAR = """
merge_method: linear
models:
  - model: {root}/a
    parameters: {{weight: 1}}
  - model: {root}/b
    parameters: {{weight: 3}}
"""
TIES = """
merge_method: ties
base_model: {root}/base
models:
  - model: {root}/a
  - model: {root}/b
parameters: {{weight: 1, density: 0.5}}
"""
DARE = TIES.replace("ties", "dare_ties")
STAGES = """
name: average
merge_method: linear
models: [{{model: {root}/a}}, {{model: {root}/b}}]
parameters: {{weight: 1}}
---
name: trimmed
merge_method: ties
base_model: {root}/base
models: [{{model: average}}, {{model: {root}/b}}]
parameters: {{weight: 1, density: 0.5}}
---
merge_method: slerp
base_model: average
models: [{{model: average}}, {{model: trimmed}}]
parameters: {{t: 0.3}}
"""


@pytest.fixture
def family(checkpoint, tmp_path):
    """Three models of four tensors, and a writer of recipes about them."""

    def model(name, seed):
        random = torch.Generator().manual_seed(seed)
        tensors = {
            "embed_tokens.weight": torch.randn(50, 8, generator=random),
            "layers.0.w": torch.randn(30, 8, generator=random),
            "layers.1.w": torch.randn(30, 8, generator=random),
            "norm.weight": torch.randn(8, generator=random),
        }
        root = checkpoint(name, tensors, config={"num_hidden_layers": 2, "vocab_size": 50})
        (root / "tokenizer.json").write_text("{}")
        return root

    for seed, name in enumerate(("base", "a", "b")):
        model(name, seed)

    def recipe(text, name="recipe"):
        path = tmp_path / f"{name}.yaml"
        path.write_text(text.format(root=tmp_path))
        return path

    return recipe


def tensors(path):
    return load_file(path / "model.safetensors")


def digests(path):
    return {
        name: each["sha256"]
        for name, each in json.loads((path / MANIFEST).read_text())["tensors"].items()
    }


def test_a_result_holds_the_merge_and_everything_that_goes_with_it(family, tmp_path):
    out = tmp_path / "out"
    mergegraph.run(family(LINEAR), out=out)
    a, b, merged = (tensors(tmp_path / each) for each in ("a", "b", "out"))
    assert all(torch.allclose(merged[name], (a[name] + 3 * b[name]) / 4) for name in a)
    names = {"README.md", "config.json", MANIFEST, "model.safetensors", "tokenizer.json"}
    assert {each.name for each in out.iterdir()} == names


def test_the_manifest_holds_the_sha256_of_each_tensor(family, tmp_path):
    mergegraph.run(family(DARE), out=tmp_path / "out")
    found = {
        name: sha256(each.numpy().tobytes()).hexdigest()
        for name, each in tensors(tmp_path / "out").items()
    }
    assert found == digests(tmp_path / "out")


def test_the_same_recipe_gives_the_same_files_in_every_byte(family, tmp_path):
    recipe = family(DARE)
    for name, threads, memory in (("one", 1, "2GiB"), ("two", 3, "12MiB")):
        (tmp_path / name).mkdir()
        mergegraph.run(recipe, out=tmp_path / name / "out", threads=threads, memory=memory)
    for each in (tmp_path / "one" / "out").iterdir():
        assert each.read_bytes() == (tmp_path / "two" / "out" / each.name).read_bytes(), each.name


def test_recipes_run_together_give_what_they_give_alone(family, tmp_path):
    recipes = [family(LINEAR, "linear"), family(DARE, "dare"), family(STAGES, "stages")]
    mergegraph.run(*recipes, out=tmp_path / "together")
    for recipe in recipes:
        alone = tmp_path / "alone" / recipe.stem
        mergegraph.run(recipe, out=alone)
        for each in alone.iterdir():
            assert (
                each.read_bytes() == (tmp_path / "together" / recipe.stem / each.name).read_bytes()
            )


def test_the_seed_decides_random_methods(family, tmp_path):
    recipe = family(DARE)
    for seed in (0, 1):
        mergegraph.run(recipe, out=tmp_path / str(seed), seed=seed)
    mergegraph.run(recipe, out=tmp_path / "unsaid")
    assert digests(tmp_path / "unsaid") == digests(tmp_path / "0") != digests(tmp_path / "1")


def test_stages_in_one_plan_give_what_stages_through_disk_give_in_float32(family, tmp_path):
    mergegraph.run(family(STAGES), out=tmp_path / "chained")
    average, trimmed, last = STAGES.split("---")
    through_disk = {
        "model: average": "model: {root}/average",
        "model: trimmed": "model: {root}/trimmed",
    }
    for name, text in (("average", average), ("trimmed", trimmed), ("last", last)):
        stepwise = reduce(lambda told, pair: told.replace(*pair), through_disk.items(), text)
        mergegraph.run(family(stepwise, name), out=tmp_path / name)
    chained, stepwise = tensors(tmp_path / "chained"), tensors(tmp_path / "last")
    assert all(torch.equal(chained[name], stepwise[name]) for name in stepwise)


def test_a_stage_with_out_is_written_in_the_same_run(family, tmp_path):
    recipe = family(STAGES.replace("name: average", "name: average\nout: {root}/average"))
    mergegraph.run(recipe, out=tmp_path / "out")
    mergegraph.run(
        family(LINEAR.replace("weight: 3", "weight: 1"), "linear"), out=tmp_path / "plain"
    )
    assert digests(tmp_path / "average") == digests(tmp_path / "plain")


def test_a_chain_of_stages_reads_every_input_once(family, tmp_path):
    made = pipeline.plan(family(STAGES), out=tmp_path / "out", memory="1GiB")
    inputs = sum(
        header.nbytes
        - 8
        - int.from_bytes((account.checkpoint.path / file).read_bytes()[:8], "little")
        for account in made.plan.accounts
        for file, header in account.checkpoint.headers.items()
    )
    assert made.schedule.read_nbytes == inputs


def test_shards_hold_what_one_file_holds(family, tmp_path):
    mergegraph.run(family(LINEAR), out=tmp_path / "one")
    mergegraph.run(family(LINEAR), out=tmp_path / "many", shard_size=1000)
    index = json.loads((tmp_path / "many" / "model.safetensors.index.json").read_text())
    found = {}
    for file in set(index["weight_map"].values()):
        with safe_open(tmp_path / "many" / file, "pt") as shard:
            found.update({name: shard.get_tensor(name) for name in shard.keys()})  # noqa: SIM118
    whole = tensors(tmp_path / "one")
    assert found.keys() == whole.keys() == index["weight_map"].keys()
    assert all(torch.equal(found[name], whole[name]) for name in whole)
    assert index["metadata"]["total_size"] == sum(each.nbytes for each in whole.values())


def test_a_sharded_result_is_an_input_again(family, tmp_path):
    mergegraph.run(family(LINEAR), out=tmp_path / "many", shard_size=1000)
    again = family(LINEAR.replace("{root}/a", "{root}/many"), "again")
    mergegraph.run(again, out=tmp_path / "again")
    assert tensors(tmp_path / "again").keys() == tensors(tmp_path / "a").keys()


def test_a_finished_result_is_not_made_again(family, tmp_path):
    recipe = family(LINEAR)
    mergegraph.run(recipe, out=tmp_path / "out")
    before = (tmp_path / "out" / "model.safetensors").stat().st_mtime_ns
    mergegraph.run(recipe, out=tmp_path / "out")
    assert (tmp_path / "out" / "model.safetensors").stat().st_mtime_ns == before


def test_a_result_that_lacks_a_file_is_not_taken_for_done(family, tmp_path):
    recipe = family(LINEAR)
    mergegraph.run(recipe, out=tmp_path / "out")
    (tmp_path / "out" / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(MergeGraphError, match="missing or cut; make it anew with --restart"):
        mergegraph.run(recipe, out=tmp_path / "out")
    mergegraph.run(recipe, out=tmp_path / "out", restart=True)
    assert verify(tmp_path / "out").differences == ()


@pytest.mark.parametrize("place", ["file/x", "link"])
def test_a_place_where_nothing_can_be_made_is_told_before_the_run(family, tmp_path, place):
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(MergeGraphError, match="choose another --out"):
        mergegraph.run(family(LINEAR), out=tmp_path / place)


def test_many_missing_tensors_of_one_model_are_one_sentence(family, tmp_path):
    only = {"norm.weight": tensors(tmp_path / "b")["norm.weight"]}
    save_file(only, tmp_path / "b" / "model.safetensors")
    with pytest.raises(MergeGraphError, match=r"embed_tokens\.weight and 2 more tensors: not in"):
        mergegraph.run(family(LINEAR), out=tmp_path / "out")


def test_a_model_of_more_layers_than_the_donor_is_told_in_the_config(family, tmp_path):
    deeper = tensors(tmp_path / "b") | {"layers.2.w": torch.ones(30, 8)}
    save_file(deeper, tmp_path / "b" / "model.safetensors")
    mergegraph.run(family("on_missing: skip\n" + LINEAR), out=tmp_path / "out")
    assert json.loads((tmp_path / "out" / "config.json").read_text())["num_hidden_layers"] == 3


def test_whole_numbers_and_fractions_are_not_merged(family, tmp_path):
    mixed = tensors(tmp_path / "b") | {"norm.weight": torch.ones(8, dtype=torch.int8)}
    save_file(mixed, tmp_path / "b" / "model.safetensors")
    with pytest.raises(MergeGraphError, match="whole numbers and fractions cannot be merged"):
        mergegraph.run(family(LINEAR), out=tmp_path / "out")


def test_the_result_of_another_plan_is_refused_and_replaced_on_demand(family, tmp_path):
    mergegraph.run(family(LINEAR), out=tmp_path / "out")
    other = family(TIES, "other")
    with pytest.raises(MergeGraphError, match="another plan"):
        mergegraph.run(other, out=tmp_path / "out")
    mergegraph.run(other, out=tmp_path / "out", restart=True)
    mergegraph.run(other, out=tmp_path / "fresh")
    assert digests(tmp_path / "out") == digests(tmp_path / "fresh")


def test_a_directory_that_is_not_a_result_is_never_replaced(family, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("dear")
    with pytest.raises(MergeGraphError, match="not a result of mergegraph"):
        mergegraph.run(family(LINEAR), out=tmp_path / "out", restart=True)
    assert (tmp_path / "out" / "thesis.txt").read_text() == "dear"


def test_an_input_is_never_written_over(family, tmp_path):
    with pytest.raises(MergeGraphError, match="is an input"):
        mergegraph.run(family(LINEAR), out=tmp_path / "a", restart=True)


def test_interrupted_work_continues(family, tmp_path, monkeypatch):
    """The second run computes only what the first had not finished."""
    recipe = family(DARE)
    finished = []

    def stop_after_two(self, name, digest):
        finished.append(name)
        if len(finished) > 2:
            raise KeyboardInterrupt
        finish(self, name, digest)

    finish = pipeline.Result.finish
    monkeypatch.setattr(pipeline.Result, "finish", stop_after_two)
    with pytest.raises(KeyboardInterrupt):
        mergegraph.run(recipe, out=tmp_path / "out", threads=1)
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(pipeline.Result, "finish", finish)
    prepared = pipeline.prepare([recipe], out=tmp_path / "out")
    assert len(prepared.schedule.outputs) == 2
    mergegraph.run(recipe, out=tmp_path / "out")
    mergegraph.run(recipe, out=tmp_path / "whole")
    assert tensors(tmp_path / "out").keys() == tensors(tmp_path / "whole").keys()
    for each in (tmp_path / "whole").iterdir():
        assert each.read_bytes() == (tmp_path / "out" / each.name).read_bytes()


def test_work_of_another_plan_is_not_continued(family, tmp_path, monkeypatch):
    recipe = family(LINEAR)
    monkeypatch.setattr(pipeline.Result, "seal", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        mergegraph.run(recipe, out=tmp_path / "out")
    monkeypatch.undo()
    other = family(TIES, "other")
    prepared = pipeline.prepare([other], out=tmp_path / "out")
    assert any("as it was begun before the" in note for note in prepared.notes)
    pipeline.finish(prepared)
    mergegraph.run(other, out=tmp_path / "fresh")
    assert digests(tmp_path / "out") == digests(tmp_path / "fresh")


def test_a_killed_run_leaves_nothing_that_looks_whole_and_continues(family, tmp_path):
    """SIGKILL at some instant of a larger run; the same command ends in the same bytes."""
    random = torch.Generator().manual_seed(0)
    for name in ("a", "b", "base"):
        large = {f"layers.{i}.w": torch.randn(512, 1024, generator=random) for i in range(12)}
        save_file(large, tmp_path / name / "model.safetensors")
        (tmp_path / name / "config.json").write_text('{"num_hidden_layers": 12}')
    recipe = family(DARE)
    command = [sys.executable, "-m", "mergegraph", "run", str(recipe), "--threads", "1"]
    for _ in range(2):
        process = subprocess.Popen(
            [*command, "--out", str(tmp_path / "out")], stderr=subprocess.DEVNULL
        )
        journal = tmp_path / "out.partial" / "mergegraph.journal"
        lines = len(journal.read_text().splitlines()) if journal.exists() else 0
        while process.poll() is None:
            if journal.exists() and len(journal.read_text().splitlines()) > lines + 2:
                os.kill(process.pid, signal.SIGKILL)
                break
            time.sleep(0.001)
        process.wait()
        assert (tmp_path / "out").exists() == (process.returncode == 0)
    subprocess.run(
        [*command, "--out", str(tmp_path / "out")], check=True, stderr=subprocess.DEVNULL
    )
    subprocess.run(
        [*command, "--out", str(tmp_path / "whole")], check=True, stderr=subprocess.DEVNULL
    )
    assert digests(tmp_path / "out") == digests(tmp_path / "whole")
    assert verify(tmp_path / "out").differences == ()


def test_verify_names_the_tensor_whose_bytes_differ(family, tmp_path):
    mergegraph.run(family(LINEAR), out=tmp_path / "out")
    file = tmp_path / "out" / "model.safetensors"
    changed = bytearray(file.read_bytes())
    changed[-1] ^= 1
    file.write_bytes(changed)
    (difference,) = verify(tmp_path / "out").differences
    assert difference.endswith("its bytes differ")


def test_nan_in_an_input_stops_the_run_and_names_model_and_tensor(family, tmp_path):
    poisoned = tensors(tmp_path / "a")
    poisoned["layers.1.w"][3, 3] = float("nan")
    save_file(poisoned, tmp_path / "a" / "model.safetensors")
    with pytest.raises(RunError, match=r"/a: layers\.1\.w has NaN or infinite entries"):
        mergegraph.run(family(LINEAR), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nan_may_be_replaced_by_the_base_or_passed_on(family, tmp_path):
    poisoned = tensors(tmp_path / "a")
    poisoned["layers.1.w"][3, 3] = float("nan")
    save_file(poisoned, tmp_path / "a" / "model.safetensors")
    ties = "on_nonfinite: {}\n" + TIES.replace("ties", "task_arithmetic").replace(
        ", density: 0.5", ""
    )
    mergegraph.run(family(ties.replace("{}", "propagate", 1), "passed"), out=tmp_path / "passed")
    mergegraph.run(family(ties.replace("{}", "base", 1), "filled"), out=tmp_path / "filled")
    assert tensors(tmp_path / "passed")["layers.1.w"].isnan().sum() == 1
    assert torch.allclose(
        tensors(tmp_path / "filled")["layers.1.w"][3, 3],
        tensors(tmp_path / "b")["layers.1.w"][3, 3],
    )


def test_overflow_on_the_final_cast_stops_the_run(family, tmp_path):
    save_file(
        {name: each * 1e6 for name, each in tensors(tmp_path / "a").items()},
        tmp_path / "a" / "model.safetensors",
    )
    with pytest.raises(RunError, match="came to be NaN or infinite in float16"):
        mergegraph.run(family(LINEAR + "\ndtype: float16"), out=tmp_path / "out")


def test_a_check_is_made_at_every_budget(family, tmp_path, monkeypatch):
    """Also where nothing is kept that could be read again."""
    monkeypatch.setattr(fitting, "_ALLOWANCES", (0,))
    huge = {name: each * 1e6 for name, each in tensors(tmp_path / "a").items()}
    save_file(huge, tmp_path / "a" / "model.safetensors")
    with pytest.raises(RunError, match="came to be NaN or infinite in float16"):
        mergegraph.run(family(TIES + "\ndtype: float16"), out=tmp_path / "out")


def test_finished_tensors_are_not_looked_at_again(family, tmp_path, monkeypatch):
    recipe = family(TIES)
    whole = pipeline.prepare([recipe], out=tmp_path / "out")
    done = {(str(tmp_path / "out"), name) for name in ("layers.0.w", "layers.1.w", "norm.weight")}
    rest = schedule.make_schedule(whole.plan, budget=2**30, done=done)
    assert rest.read_nbytes == 3 * 50 * 8 * 4


def test_whole_numbers_are_copied_and_disagreement_is_told(family, tmp_path):
    for name, value in (("a", 1), ("b", 2)):
        with_ids = tensors(tmp_path / name) | {"position_ids": torch.full((4,), value)}
        save_file(with_ids, tmp_path / name / "model.safetensors")
    summary = mergegraph.run(family(LINEAR), out=tmp_path / "out")
    assert tensors(tmp_path / "out")["position_ids"].tolist() == [1] * 4
    assert "position_ids: the models disagree" in summary.warnings[0]


def test_a_layer_stack_has_its_new_depth_in_the_config(family, tmp_path):
    text = """
merge_method: passthrough
slices:
  - sources: [{{model: {root}/a, layer_range: [0, 2]}}]
  - sources: [{{model: {root}/b, layer_range: [1, 2]}}]
"""
    mergegraph.run(family(text), out=tmp_path / "out")
    a, b, stacked = (tensors(tmp_path / each) for each in ("a", "b", "out"))
    assert json.loads((tmp_path / "out" / "config.json").read_text())["num_hidden_layers"] == 3
    assert torch.equal(stacked["layers.2.w"], b["layers.1.w"])
    assert torch.equal(stacked["embed_tokens.weight"], a["embed_tokens.weight"])
    assert torch.equal(stacked["norm.weight"], b["norm.weight"])


def test_tensors_that_are_left_out_are_named(family, tmp_path):
    sources = "[{{model: {root}/a, layer_range: [0, 1]}}]"
    text = f"merge_method: passthrough\nslices: [{{{{sources: {sources}}}}}]"
    made = pipeline.plan(family(text), out=tmp_path / "out")
    (account,) = made.plan.accounts
    assert account.left_out == ("layers.1.w",)
    assert account.read + len(account.left_out) == len(account.checkpoint.entries)


@pytest.mark.parametrize(("policy", "rows"), [("intersect", 40), ("base", 50)])
def test_vocabularies_of_different_size_follow_the_policy(family, tmp_path, policy, rows):
    shorter = tensors(tmp_path / "b")
    shorter["embed_tokens.weight"] = shorter["embed_tokens.weight"][:40].clone()
    save_file(shorter, tmp_path / "b" / "model.safetensors")
    (tmp_path / "b" / "config.json").write_text('{"num_hidden_layers": 2, "vocab_size": 40}')
    with pytest.raises(MergeGraphError, match="vocabularies differ"):
        mergegraph.run(family(LINEAR), out=tmp_path / "out")
    mergegraph.run(family(f"on_vocab: {policy}\n" + LINEAR, policy), out=tmp_path / "out")
    merged = tensors(tmp_path / "out")["embed_tokens.weight"]
    assert (
        len(merged)
        == json.loads((tmp_path / "out" / "config.json").read_text())["vocab_size"]
        == rows
    )
    expected = (
        tensors(tmp_path / "a")["embed_tokens.weight"][:40] + 3 * shorter["embed_tokens.weight"]
    ) / 4
    assert torch.allclose(merged[:40], expected)
    assert torch.allclose(merged[40:], tensors(tmp_path / "a")["embed_tokens.weight"][40:rows])


def test_a_vocabulary_grows_over_many_strips_with_its_bias(family, tmp_path, monkeypatch):
    """The base's rows stand where a model has none, in bfloat16 and in vectors as well."""
    monkeypatch.setattr(strips, "STRIP", 32)
    for name, rows in (("a", 50), ("b", 20)):
        random = torch.Generator().manual_seed(rows)
        tokens = {
            "embed_tokens.weight": torch.randn(rows, 8, generator=random).bfloat16(),
            "lm_head.bias": torch.randn(rows, generator=random).bfloat16(),
        }
        save_file(tokens, tmp_path / name / "model.safetensors")
        (tmp_path / name / "config.json").write_text(f'{{"vocab_size": {rows}}}')
    mergegraph.run(family("on_vocab: base\n" + LINEAR), out=tmp_path / "out")
    a, b, merged = (tensors(tmp_path / each) for each in ("a", "b", "out"))
    for name, found in merged.items():
        expected = ((a[name][:20].float() + 3 * b[name].float()) / 4).bfloat16()
        assert torch.equal(found[:20], expected)
        assert torch.equal(found[20:], a[name][20:])


@pytest.mark.parametrize("policy", ["skip", "base"])
def test_tensors_that_some_models_lack_follow_the_policy(family, tmp_path, policy):
    more = tensors(tmp_path / "base") | {"extra": torch.ones(3)}
    save_file(more, tmp_path / "base" / "model.safetensors")
    refusal = r"extra: not in .*set on_missing to skip, base or drop"
    with pytest.raises(MergeGraphError, match=refusal):
        mergegraph.run(family(TIES), out=tmp_path / "out")
    mergegraph.run(family(f"on_missing: {policy}\n" + TIES, policy), out=tmp_path / "out")
    assert tensors(tmp_path / "out")["extra"].tolist() == [1, 1, 1]


def test_a_tied_head_is_merged_once(family, tmp_path):
    for name in ("base", "a", "b"):
        tied = {"num_hidden_layers": 2, "vocab_size": 50, "tie_word_embeddings": True}
        (tmp_path / name / "config.json").write_text(json.dumps(tied))
        stored = tensors(tmp_path / name)
        stored["lm_head.weight"] = stored["embed_tokens.weight"].clone()
        save_file(stored, tmp_path / name / "model.safetensors")
    mergegraph.run(family(DARE), out=tmp_path / "out")
    assert "lm_head.weight" not in tensors(tmp_path / "out")


def test_the_head_of_a_tied_model_is_its_embedding_where_others_have_one(family, tmp_path):
    stored = tensors(tmp_path / "b")
    stored["lm_head.weight"] = torch.randn(50, 8, generator=torch.Generator().manual_seed(9))
    save_file(stored, tmp_path / "b" / "model.safetensors")
    tied = {"num_hidden_layers": 2, "vocab_size": 50, "tie_word_embeddings": True}
    (tmp_path / "a" / "config.json").write_text(json.dumps(tied))
    mergegraph.run(family(LINEAR), out=tmp_path / "out")
    merged = tensors(tmp_path / "out")["lm_head.weight"]
    expected = (tensors(tmp_path / "a")["embed_tokens.weight"] + 3 * stored["lm_head.weight"]) / 4
    assert torch.allclose(merged, expected, atol=1e-6)
    assert (
        json.loads((tmp_path / "out" / "config.json").read_text())["tie_word_embeddings"] is False
    )


def test_the_card_names_parents_relation_and_recipe(family, tmp_path):
    import yaml

    mergegraph.run(family(TIES), out=tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    front = yaml.safe_load(card.split("---")[1])
    assert all(f"- `{tmp_path / each}`\n" in card for each in ("base", "a", "b"))
    assert front["base_model_relation"] == "merge"
    assert {"merge", "mergegraph", "ties"} <= set(front["tags"])
    assert "merge_method: ties" in card


def test_a_stage_may_round_what_later_stages_see(family, tmp_path):
    rounded = STAGES.replace("merge_method: linear", "merge_method: linear\nout_dtype: bfloat16")
    mergegraph.run(family(rounded), out=tmp_path / "rounded")
    mergegraph.run(family(STAGES, "exact"), out=tmp_path / "exact")
    assert digests(tmp_path / "rounded") != digests(tmp_path / "exact")


def test_too_small_a_disk_is_told_before_anything_is_written(family, tmp_path, monkeypatch):
    monkeypatch.setattr(room, "disk_of", lambda _path: Disk(1, 100))
    with pytest.raises(MergeGraphError, match=r"the results take .*, 100 B are free; make room"):
        mergegraph.run(family(LINEAR), out=tmp_path / "out")
    assert not (tmp_path / "out.partial").exists()


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="reads peak memory as Linux tells it"
)
@pytest.mark.parametrize("text", [TIES, DARE, LINEAR], ids=["ties", "dare_ties", "linear"])
def test_memory_stays_within_the_budget_for_a_tensor_larger_than_it(family, tmp_path, text):
    """One tensor of 96 MiB in each of three models, a budget of 32 MiB: peak within 432 MiB."""
    random = torch.Generator().manual_seed(0)
    for name in ("a", "b", "base"):
        large = torch.randn(24 * 1024, 1024, generator=random, dtype=torch.float32)
        save_file({"layers.0.w": large}, tmp_path / name / "model.safetensors")
    program = (
        "import re, sys, mergegraph\n"
        "mergegraph.run(sys.argv[1], out=sys.argv[2], memory='32MiB', threads=2)\n"
        "status = open('/proc/self/status').read()\n"
        "print(int(re.search(r'VmHWM:\\s+(\\d+)', status)[1]) // 1024)"
    )
    given = [sys.executable, "-c", program, str(family(text)), str(tmp_path / "out")]
    peak = int(subprocess.run(given, check=True, capture_output=True, text=True).stdout)
    assert peak <= 32 + 400


def test_two_runs_on_one_output_do_not_mix(family, tmp_path):
    first, second = (pipeline.prepare([family(LINEAR)], out=tmp_path / "out") for _ in range(2))
    layout = first.layouts[tmp_path / "out"]
    with Writer() as writer:
        result = pipeline.Result(
            first.plan.directories[0], layout, first.found[tmp_path / "out"], writer
        )
        result.open()
        with pytest.raises(MergeGraphError, match="another run is at work"):
            pipeline.finish(second)
        result.close()
    pipeline.finish(second)
    assert verify(tmp_path / "out").differences == ()


def test_a_result_may_stand_beside_a_single_file_that_it_is_made_of(family, tmp_path):
    single = LINEAR.replace("{root}/a", "{root}/a/model.safetensors")
    mergegraph.run(family(single), out=tmp_path / "a" / "out")
    assert (tmp_path / "a" / "out" / "model.safetensors").is_file()


def test_modules_that_overlap_are_told(family, tmp_path):
    models = "{{models: [{{model: {root}/a}}, {{model: {root}/b}}]}}"
    text = "merge_method: linear\nparameters: {{weight: 1}}\nmodules:\n  layers: " + models
    with pytest.raises(MergeGraphError, match=r"'layers\.0' is a part of module 'layers'"):
        mergegraph.run(family(f"{text}\n  layers.0: {models}"), out=tmp_path / "out")


def test_tensors_that_no_module_speaks_of_are_kept(family, tmp_path):
    models = "{{models: [{{model: {root}/a}}, {{model: {root}/b}}]}}"
    text = "merge_method: linear\nparameters: {{weight: 1}}\nmodules:\n  layers: " + models
    mergegraph.run(family(text), out=tmp_path / "out")
    a, b, merged = (tensors(tmp_path / each) for each in ("a", "b", "out"))
    assert torch.equal(merged["norm.weight"], a["norm.weight"])
    assert torch.allclose(merged["layers.0.w"], (a["layers.0.w"] + b["layers.0.w"]) / 2)


def test_a_result_that_lacks_a_file_is_not_called_done(family, tmp_path):
    recipe = family(LINEAR)
    mergegraph.run(recipe, out=tmp_path / "out")
    (tmp_path / "out" / "config.json").unlink()
    with pytest.raises(MergeGraphError, match=r"config\.json is missing; make it anew"):
        mergegraph.run(recipe, out=tmp_path / "out")


def test_a_result_in_other_files_than_asked_for_is_told(family, tmp_path):
    recipe = family(LINEAR)
    mergegraph.run(recipe, out=tmp_path / "out")
    again = preparing.prepare([recipe], out=tmp_path / "out", settings=Settings(shard_size=40))
    assert any(
        "done already, with this plan, in other files than now asked for (1" in each
        for each in again.notes
    )
