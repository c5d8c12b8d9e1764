"""Paths through layers become ordinary recipes that do what scaled inputs would do."""

from __future__ import annotations

import pytest
import torch

from mergegraph import MergeGraphError, run
from mergegraph.evolve.paths import Step, slices_of

HOLE = "slices: {search: {path: [%s], repeats: 2, %s}}\n"


def test_neighbours_are_one_slice():
    steps = [Step("a", 0, 1.0), Step("a", 1, 1.0), Step("b", 2, 2.0), Step("b", 3, 1.0)]
    assert slices_of(steps, lambda _: ("o",), str) == [
        "sources: [{model: a, layer_range: [0, 2]}]",
        "sources: [{model: b, layer_range: [2, 4], parameters: "
        "{scale: [{filter: o, value: 0.5}]}}]",
    ]


def test_a_path_begins_with_the_first_model(space):
    parts = "{model: demo:north, layers: [0, 2]}, {model: demo:east, layers: [1, 3]}"
    made = space("merge_method: passthrough\n" + HOLE % (parts, "least: 1"))
    assert made.filled(made.start).text == (
        "merge_method: passthrough\nslices:\n"
        "  - sources: [{model: demo:north, layer_range: [0, 2]}]\n"
    )
    assert len(made.genes) == 8


def test_a_path_without_a_layer_is_nothing(space):
    parts = "{model: demo:north, layers: [0, 2]}"
    made = space("merge_method: passthrough\n" + HOLE % (parts, "most: 3"))
    with pytest.raises(MergeGraphError, match="the path has no layer"):
        made.filled((0.0,) * 4)
    assert "layer_range: [0, 2]" in made.filled((0.9, 0.8, 0.7, 0.6)).text


def models_of(transformers, kind, folder):
    """Two tiny models with weights that are large enough to be told apart."""
    sizes = {"hidden_size": 16, "num_attention_heads": 2, "vocab_size": 32}
    more = {"intermediate_size": 24, "num_hidden_layers": 3}
    config = {
        "llama": lambda: transformers.LlamaConfig(**sizes, **more, num_key_value_heads=1),
        "gpt2": lambda: transformers.GPT2Config(n_embd=16, n_head=2, n_layer=3, vocab_size=32),
        "phi": lambda: transformers.PhiConfig(**sizes, **more),
        "gpt_neox": lambda: transformers.GPTNeoXConfig(**sizes, **more),
        "gemma2": lambda: transformers.Gemma2Config(**sizes, **more, head_dim=8),
    }[kind]()
    paths = []
    for seed in range(2):
        torch.manual_seed(seed)
        model = transformers.AutoModelForCausalLM.from_config(config)
        with torch.no_grad():
            for each in model.parameters():
                each.add_(0.1 * torch.randn_like(each))
        model.save_pretrained(folder / str(seed))
        paths.append(str(folder / str(seed)))
    return paths


def layers_of(model):
    inner = model.transformer.h if hasattr(model, "transformer") else None
    inner = model.gpt_neox.layers if hasattr(model, "gpt_neox") else inner
    return inner if inner is not None else model.model.layers


@pytest.mark.parametrize("kind", ["llama", "gpt2", "phi", "gpt_neox"])
def test_scales_of_weights_are_scales_of_inputs(space, tmp_path, kind):
    """The forward pass with the input of every block scaled gives the logits of the recipe."""
    transformers = pytest.importorskip("transformers")
    paths = models_of(transformers, kind, tmp_path)
    parts = ", ".join(f"{{model: {each}, layers: [0, 3]}}" for each in paths)
    made = space("merge_method: passthrough\n" + HOLE % (parts, "scales: [0.5, 2]"))
    on = [1, 0, 1, 0, 1, 0, 0, 1, 0, 0, 0, 1]
    scales = [0.7, 1.3, 1.9, 0.6, 0.8, 1.0, 1.0, 1.4, 1.0, 1.0, 1.0, 0.9]
    point = (*on, *((each - 0.5) / 1.5 for each in scales))
    (tmp_path / "path.yaml").write_text(made.filled(point).text)
    run(tmp_path / "path.yaml", out=tmp_path / "out", memory="64MiB", threads=1)

    load = transformers.AutoModelForCausalLM.from_pretrained
    found = load(tmp_path / "out", local_files_only=True).eval()
    # as a stack of the same layers, whose inputs are scaled on the way
    plain = "\n".join(
        each.partition(", parameters")[0] + "}]" * (", parameters" in each)
        for each in made.filled(point).text.splitlines()
    )
    (tmp_path / "plain.yaml").write_text(plain + "\n")
    run(tmp_path / "plain.yaml", out=tmp_path / "plain", memory="64MiB", threads=1)
    other = load(tmp_path / "plain", local_files_only=True).eval()
    used = [scale for scale, is_on in zip(scales, on, strict=True) if is_on]
    for layer, scale in zip(layers_of(other), used, strict=True):
        layer.register_forward_pre_hook(_scaled(scale), with_kwargs=True)
    tokens = torch.arange(12).reshape(2, 6)
    with torch.no_grad():
        mine, wanted, unscaled = (
            found(tokens).logits,
            other(tokens).logits,
            load(tmp_path / "plain", local_files_only=True)(tokens).logits,
        )
    torch.testing.assert_close(mine, wanted, atol=2e-3, rtol=2e-3)
    assert (unscaled - wanted).abs().max() > 0.1


def _scaled(scale):
    def hook(_module, args, kwargs):
        if args:
            return (args[0] * scale, *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": kwargs["hidden_states"] * scale}

    return hook


def test_scales_are_refused_where_norms_would_undo_them(space, tmp_path):
    transformers = pytest.importorskip("transformers")
    path = models_of(transformers, "gemma2", tmp_path)[0]
    parts = f"{{model: {path}, layers: [0, 3]}}"
    with pytest.raises(MergeGraphError, match="search the path without scales"):
        space("merge_method: passthrough\n" + HOLE % (parts, "scales: [0.5, 2]"))
    assert space("merge_method: passthrough\n" + HOLE % (parts, "least: 1")).genes
