"""Models that are not of the family that a recipe takes them for."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

import mergegraph
from mergegraph.errors import MergeWarning

LAYERS, WIDTH = 4, 48
CONFIG = {"num_hidden_layers": LAYERS}


def weights(seed):
    """A model as it begins: matrices by chance, norms of ones."""
    random = torch.Generator().manual_seed(seed)
    tensors = {"embed_tokens.weight": torch.randn(100, WIDTH, generator=random)}
    for i in range(LAYERS):
        for name in ("q_proj", "up_proj"):
            own = torch.randn(WIDTH, WIDTH, generator=random)
            tensors[f"layers.{i}.{name}.weight"] = own
        tensors[f"layers.{i}.norm.weight"] = torch.ones(WIDTH)
    return tensors


def tuned(tensors, seed, *, by=0.05):
    random = torch.Generator().manual_seed(seed)
    return {
        name: each + by * torch.randn(each.shape, generator=random)
        for name, each in tensors.items()
    }


BASE, OTHER = weights(0), weights(1)
A, B = tuned(BASE, 10), tuned(BASE, 11, by=0.5)


@pytest.fixture
def told(tmp_path, checkpoint):
    """The warnings of a merge: `told(base, a=..., b=...)`."""

    def run(base=None, *, method="task_arithmetic", more="", **models):
        for name, tensors in {**({"base": base} if base else {}), **models}.items():
            checkpoint(name, tensors, config=CONFIG)
        listed = "".join(f"  - model: {tmp_path}/{name}\n" for name in models)
        named = f"base_model: {tmp_path}/base\n" if base else ""
        text = f"merge_method: {method}\n{named}models:\n{listed}parameters: {{weight: 0.5}}\n"
        (tmp_path / "recipe.yaml").write_text(text + more)
        summary = mergegraph.run(tmp_path / "recipe.yaml", out=tmp_path / "out")
        return [each.replace(f"{tmp_path}/", "") for each in summary.warnings]

    return run


def test_fine_tunes_of_the_base_are_not_spoken_of(told):
    assert told(BASE, a=A, b=B) == []


def test_a_model_of_another_base_is_told_with_evidence(told):
    (found,) = told(BASE, a=A, b=tuned(OTHER, 12))
    assert (
        "recipe.yaml:1:1: b does not look like a fine-tune of the base base: in 8 sampled" in found
    )
    assert "the difference is 1.4" in found
    assert "cosine 0.0" in found or "cosine -0.0" in found
    assert "(a: 0.05); is it the right base_model?" in found


def test_a_wrong_base_is_told_for_every_model(told):
    assert len(told(OTHER, a=A, b=B)) == 2


def test_models_that_are_averaged_without_a_base_want_to_be_relatives(told):
    (found,) = told(a=A, b=B, c=OTHER, method="linear")
    assert "c does not look like a relative of a" in found


def test_a_model_whose_neurons_are_in_another_order_is_a_stranger(told):
    order = torch.randperm(WIDTH, generator=torch.Generator().manual_seed(3))
    turned = {k: each[order] if "proj" in k else each for k, each in A.items()}
    (found,) = told(BASE, a=turned)
    assert "a does not look like a fine-tune" in found


def test_relatives_that_have_changed_much_are_relatives(told):
    """Pruned to a tenth, of their signs alone, or far from where they began."""
    largest = {k: each * (each.abs() > 1.6) for k, each in BASE.items()}
    signs = {k: each.sign() * 0.01 for k, each in BASE.items()}
    assert told(BASE, pruned=largest, signs=signs, far=tuned(BASE, 5, by=1.5)) == []


def test_matrices_that_are_zero_or_constant_tell_nothing(told):
    """As those of adapters that begin at zero, and of models that are not trained yet."""
    zeros = {k: torch.zeros_like(each) for k, each in BASE.items()}
    assert told(zeros, a=A) == []


def test_constant_matrices_are_all_relatives(told):
    ones = {k: torch.ones_like(each) for k, each in BASE.items()}
    assert told(ones, a={k: 3 * each for k, each in ones.items()}) == []


def test_small_tensors_tell_nothing(told, checkpoint):
    few = {f"layers.{i}.w": torch.randn(4, 4) for i in range(9)}
    assert told(few, a={k: torch.randn(4, 4) for k in few}) == []


def test_a_copy_of_the_base_adds_nothing(told):
    (found,) = told(BASE, a=A, copy=BASE)
    assert "copy equals the base base in 13 of 13 sampled tensors" in found


def test_copies_count_as_one(told):
    (found,) = told(BASE, a=A, again=A)
    assert "a and again are equal in 13 of 13 sampled tensors" in found


def test_a_model_of_which_only_the_embedding_was_trained_is_no_copy(told):
    told_of = told(BASE, a={**BASE, "embed_tokens.weight": A["embed_tokens.weight"]})
    assert told_of == []


@pytest.mark.parametrize("base", [None, BASE])
def test_opposite_models_are_told(told, base):
    """Without a base the models are, with a base their changes."""
    start = base or {k: torch.zeros_like(each) for k, each in BASE.items()}
    against = {k: 2 * start[k] - A[k] for k in A}
    found = told(base, a=A, b=against, method="task_arithmetic" if base else "linear")
    strange = [] if base else ["b does not look like a relative of a"]
    assert all(any(each in one for one in found) for each in strange)
    assert strange or "a and b are opposite to each other" in found[0]


def test_a_stage_is_what_it_was_made_of(tmp_path, checkpoint):
    for name, tensors in {"base": BASE, "a": A, "b": B, "other": OTHER}.items():
        checkpoint(name, tensors, config=CONFIG)
    text = (
        f"name: first\nmerge_method: linear\nmodels: [{{model: {tmp_path}/a}}, "
        f"{{model: {tmp_path}/b}}]\nparameters: {{weight: 1}}\n---\nmerge_method: task_arithmetic\n"
        f"base_model: {tmp_path}/BASE\nmodels: [{{model: first}}]\nparameters: {{weight: 1}}\n"
    )
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(text.replace("BASE", "base"))
    assert mergegraph.run(recipe, out=tmp_path / "one").warnings == ()
    recipe.write_text(text.replace("BASE", "other"))
    (found,) = mergegraph.run(recipe, out=tmp_path / "two").warnings
    assert "first does not look like a fine-tune of the base" in found


def test_models_in_memory_are_looked_at_too():
    with pytest.warns(MergeWarning, match="b does not look like a fine-tune of the base base"):
        mergegraph.merge({"a": A, "b": OTHER}, base=BASE, method="task_arithmetic", weight=1)


def test_what_is_done_already_is_not_looked_at(told, tmp_path):
    assert told(OTHER, a=A)
    again = mergegraph.run(tmp_path / "recipe.yaml", out=tmp_path / "out")
    assert again.warnings == ()


def test_a_command_tells_it_before_the_run_and_after_it(told, tmp_path, capsys):
    from mergegraph.cli import main

    told(OTHER, a=A)
    recipe, out = str(tmp_path / "recipe.yaml"), str(tmp_path / "new")
    with pytest.raises(SystemExit, match="0"):
        main(["run", recipe, "--out", out])
    told_of = capsys.readouterr().err
    assert told_of.count("does not look like a fine-tune") == 2


def test_rows_that_were_added_do_not_matter(tmp_path, told):
    longer = dict(A, **{"embed_tokens.weight": torch.randn(110, WIDTH)})
    assert told(BASE, a=longer, more="on_vocab: base\n") == []


def test_a_family_of_shards_in_bfloat16(tmp_path):
    for name, tensors in {"base": BASE, "a": A}.items():
        (tmp_path / name).mkdir()
        halves = {k: each.bfloat16() for k, each in tensors.items()}
        save_file(halves, tmp_path / name / "model.safetensors")
        (tmp_path / name / "config.json").write_text(json.dumps(CONFIG))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"merge_method: ties\nbase_model: {tmp_path}/base\n"
        f"models: [{{model: {tmp_path}/a}}]\nparameters: {{weight: 1, density: 0.5}}\n"
    )
    assert mergegraph.run(recipe, out=tmp_path / "out").warnings == ()
