"""The example plugin keeps its word, computes what it says, and is found by its entry point."""

import pytest
import torch
from mergegraph_example import median, norm_preserving
from mergegraph_example.evenness import evenness
from mergegraph_example.palette import tensor_codecs
from safetensors.torch import load_file, save_file

import mergegraph
from mergegraph.testing import (
    check_codec,
    check_evaluator,
    check_method,
    constant,
    evaluate,
    tiny_family,
)


@pytest.mark.parametrize("method", [median, norm_preserving], ids=lambda method: method.name)
def test_method_keeps_its_word(method):
    check_method(method)


def test_median_takes_the_middle():
    models = [torch.tensor([1.0, 5.0, 2.0]), torch.tensor([9.0, 4.0, 2.0]), torch.zeros(3)]
    merged = evaluate(median(None, [constant(each) for each in models]))
    assert merged.tolist() == [1.0, 4.0, 2.0]


def test_median_of_two_is_their_mean():
    merged = evaluate(median(None, [constant(torch.zeros(2)), constant(torch.ones(2))]))
    assert merged.tolist() == [0.5, 0.5]


def test_merged_task_vector_is_as_long_as_the_others():
    base, *tuned = torch.randn(3, 6, 7, generator=torch.Generator().manual_seed(0))
    tasks = [constant(each) for each in tuned]
    merged = evaluate(norm_preserving(constant(base), tasks, weight=[1.0, 1.0]))
    wanted = sum((each - base).norm() for each in tuned) / 2
    torch.testing.assert_close((merged - base).norm(), wanted)


def test_weights_that_cancel_are_refused():
    tasks = [constant(torch.zeros(2)), constant(torch.ones(2))]
    with pytest.raises(mergegraph.MergeGraphError, match="add up to 0"):
        norm_preserving(constant(torch.ones(2)), tasks, weight=[1.0, -1.0])


def test_recipe_names_it(tmp_path):
    base, *tuned = tiny_family(tmp_path, 3)
    models = ", ".join(f"{{model: '{each}'}}" for each in tuned)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"merge_method: norm_preserving\nbase_model: '{base}'\nmodels: [{models}]\n")
    mergegraph.run(recipe, out=tmp_path / "merged")
    assert (tmp_path / "merged" / "model.safetensors").is_file()


def test_palettes_are_looked_up():
    indices = torch.randint(0, 7, (30, 50), dtype=torch.uint8)
    palette = torch.randn(7)
    [codec] = tensor_codecs()
    found = check_codec(codec, {"w.indices": indices, "w.palette": palette, "v": torch.ones(2)})
    assert found.keys() == {"w"}
    assert found["w"].equal(palette[indices.long()])


def test_models_with_palettes_merge(tmp_path):
    (tmp_path / "model").mkdir()
    stored = {
        "w.indices": torch.tensor([[0, 1], [1, 1]], dtype=torch.uint8),
        "w.palette": torch.tensor([0.5, 2.0]),
        "v": torch.ones(2),
    }
    save_file(stored, tmp_path / "model" / "model.safetensors")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"merge_method: median\nmodels: [{{model: '{tmp_path / 'model'}'}}]\n")
    mergegraph.run(recipe, out=tmp_path / "merged")
    merged = load_file(tmp_path / "merged" / "model.safetensors")
    assert merged["w"].tolist() == [[0.5, 2.0], [2.0, 2.0]]
    assert merged["w"].dtype == torch.bfloat16


def test_evenness_keeps_its_word():
    scores = check_evaluator(evenness, power=3.0)
    assert 0 < scores["evenness"] < 1


def test_evenness_refuses_what_is_no_half():
    with pytest.raises(mergegraph.MergeGraphError, match="none of first and second"):
        check_evaluator(evenness, "third")
