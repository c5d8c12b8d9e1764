"""What stands beside weights: configs, adapters, tokenizers and chat templates."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from fuzzing.weights import safetensors_of
from mergegraph import pipeline, preparing
from mergegraph.config import config_files
from mergegraph.explaining import plan_json, plan_text
from mergegraph.plugins import Plugins, installed_plugins
from mergegraph.recipe import parse_recipe
from mergegraph.settings import Settings
from mergegraph.testing import tiny_family

_CONFIG = "config.json"
_TOKENIZER = "tokenizer.json"
_SETTINGS = "tokenizer_config.json"
_ADDED = "added_tokens.json"
_TEMPLATE = "chat_template.jinja"
_SMALL = {"layers": 2, "vocabulary": 8, "hidden": 4, "dtype": "float32"}
_RUNS = 8  # of 256 files, so many are merged, too
_STACK = """
slices:
- sources: [{model: BASE, layer_range: [0, 2]}]
- sources: [{model: TUNED, layer_range: [1, 2]}]
merge_method: passthrough
"""
_MERGE = """
models: [{model: BASE}, {model: TUNED}]
merge_method: slerp
base_model: BASE
parameters: {t: [0.2, 0.8]}
"""
_UNION = """
models: [{model: BASE}, {model: TUNED}]
merge_method: linear
parameters: {weight: 0.5}
tokenizer_source: union
"""
_TEMPLATED = """
models: [{model: BASE}, {model: TUNED}]
merge_method: linear
parameters: {weight: 0.5}
chat_template: auto
"""
_ADAPTED = "{models: [{model: BASE+ADAPTER}], merge_method: linear, parameters: {weight: 1}}"


@cache
def _plugins() -> Plugins:
    return installed_plugins()


def planned(folder: Path, text: str, data: bytes) -> None:
    """Plan a merge, tell of it, and carry some out: it must end well whatever was read."""
    for name, path in (("BASE", "base"), ("TUNED", "tuned-1"), ("ADAPTER", "adapter")):
        text = text.replace(name, str(folder / path))
    plugins = _plugins()
    recipe = parse_recipe("recipe.yaml", text, plugins.methods)
    place = folder / "merged" / sha256(data).hexdigest()[:16]
    settings = Settings(memory="1GiB", threads=1)
    made = preparing.prepare_recipes([recipe], plugins, settings, places=[place], restart=True)
    _check_told(plan_text(made.plan, made.schedule, made.notes))
    _check_told(plan_json(made.plan, made.schedule, made.notes))
    for each in made.plan.directories:
        for written in (each.sides.texts or {}).values():
            written.encode()
        json.dumps(list(config_files(each.config)))
    if sha256(data).digest()[0] < _RUNS:
        pipeline.finish(made)


def _check_told(text: str) -> None:
    odd = next((line for line in text.split("\n") if not line.isprintable()), None)
    if odd is not None:
        raise AssertionError(f"told and cannot be printed: {odd[:200]!r}")


def lay_family(folder: Path) -> None:
    """A base and a model made of it."""
    tiny_family(folder, 1, **_SMALL)


def _kept(folder: Path, file: str) -> bytes:
    """A file of the tuned model as it was laid."""
    return (folder / "base" / file).read_bytes()


def read_config(folder: Path, data: bytes) -> None:
    """Stack the layers of a model with that config."""
    (folder / "base" / _CONFIG).write_bytes(data)
    planned(folder, _STACK, data)


def config_samples() -> Iterator[bytes]:
    """Sound configs."""
    plain: dict[str, Any] = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": 8,
        "hidden_size": 4,
        "num_hidden_layers": 2,
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "bos_token_id": 1,
    }
    layered = {
        "layer_types": ["full_attention", "sliding_attention"],
        "no_rope_layers": [0, 1],
        "first_k_dense_replace": 1,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [0],
        "max_window_layers": 2,
        "hybrid_override_pattern": "M*",
        "time_step_limit": [0.0, 1.0],
        "num_nextn_predict_layers": 0,
    }
    quantised = {"quant_method": "fp8", "weight_block_size": [2, 2], "activation_scheme": "dynamic"}
    yield json.dumps(plain).encode()
    yield json.dumps({**plain, **layered}).encode()
    yield json.dumps({"text_config": {**plain, **layered}, "vision_config": {"depth": 2}}).encode()
    yield json.dumps({**plain, "quantization_config": quantised}).encode()


# -- adapters --------------------------------------------------------------------------------

_Q = "base_model.model.model.layers.0.self_attn.q_proj"
_SHAPES = {f"{_Q}.lora_A.weight": [2, 4], f"{_Q}.lora_B.weight": [4, 2]}


def lay_adapter(folder: Path) -> None:
    """A base and an adapter to it."""
    lay_family(folder)
    (folder / "adapter").mkdir(exist_ok=True)
    (folder / "adapter" / "adapter_config.json").write_bytes(next(adapter_config_samples()))
    (folder / "adapter" / "adapter_model.safetensors").write_bytes(_tensors(_SHAPES))


def _tensors(shapes: dict[str, list[int]]) -> bytes:
    """A file of zeros in some shapes."""
    entries, at = {}, 0
    for name, shape in shapes.items():
        count = 1
        for size in shape:
            count *= size
        entries[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + 4 * count]}
        at += 4 * count
    return safetensors_of(entries, bytes(at))


def adapter_config_samples() -> Iterator[bytes]:
    """Sound configs of adapters."""
    plain = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"]}
    rich = {
        "base_model_name_or_path": "org/base",
        "rank_pattern": {"q_proj": 2},
        "alpha_pattern": {".*q_proj": 8.0},
        "use_rslora": True,
        "bias": "none",
        "modules_to_save": None,
        "trainable_token_indices": None,
        "init_lora_weights": True,
        "lora_dropout": 0.1,
    }
    yield json.dumps(plain).encode()
    yield json.dumps({**plain, **rich}).encode()
    yield json.dumps({**plain, "target_parameters": ["x.w"], "modules_to_save": ["norm"]}).encode()


def read_adapter_config(folder: Path, data: bytes) -> None:
    """Fold an adapter with that config into its base."""
    (folder / "adapter" / "adapter_config.json").write_bytes(data)
    planned(folder, _ADAPTED, data)


def adapter_samples() -> Iterator[bytes]:
    """Names and shapes of adapters' tensors, as JSON."""
    more = {
        "base_model.model.model.embed_tokens.lora_embedding_A": [2, 8],
        "base_model.model.model.embed_tokens.lora_embedding_B": [4, 2],
        "base_model.model.model.norm.modules_to_save.weight": [4],
        f"{_Q}.lora_magnitude_vector.weight": [4],
        "base_model.model.lm_head.weight": [8, 4],
        "base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta": [1, 4],
    }
    yield json.dumps(_SHAPES).encode()
    yield json.dumps({**_SHAPES, **more}).encode()


def read_adapter(folder: Path, data: bytes) -> None:
    """Fold an adapter with tensors of those names and shapes into its base."""
    (folder / "adapter" / "adapter_model.safetensors").write_bytes(_tensors(_shapes(data)))
    planned(folder, _ADAPTED, data)


def _shapes(data: bytes) -> dict[str, list[int]]:
    """Names and shapes, as far as JSON tells of such."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return {
        str(name).encode("utf-8", "replace").decode(): [each for each in shape if _is_size(each)]
        for name, shape in (found.items() if isinstance(found, dict) else ())
        if isinstance(shape, list) and len(shape) < 5
    }


def tensor_samples() -> Iterator[bytes]:
    """Names and shapes of models' tensors, as JSON."""
    layer = {"self_attn.q_proj.weight": [4, 4], "norm.weight": [4], "mlp.up_proj.weight": [8, 4]}
    whole = {"model.embed_tokens.weight": [8, 4], "lm_head.weight": [8, 4]}
    layers = {f"model.layers.{i}.{name}": shape for i in range(2) for name, shape in layer.items()}
    experts = {
        f"model.layers.{i}.mlp.experts.{e}.w1.weight": [2, 4] for i in (0, 1) for e in (0, 1)
    }
    scaled = {f"model.layers.{i}.self_attn.q_proj.weight_scale": [1] for i in (0, 1)}
    sides = {f"{side}.block.{i}.w": [2, 2] for side in ("encoder", "decoder") for i in (0, 1)}
    yield json.dumps({**whole, **layers}).encode()
    yield json.dumps({**layers, **experts}).encode()
    yield json.dumps({**layers, **scaled}).encode()
    yield json.dumps(sides).encode()


def read_tensors(folder: Path, data: bytes) -> None:
    """Stack the layers of a model with tensors of those names and shapes."""
    for each in ("base", "tuned-1"):
        (folder / each / "model.safetensors").write_bytes(_tensors(_shapes(data)))
    planned(folder, _STACK if len(data) % 2 else _MERGE, data)


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < 20


# -- tokenizers ------------------------------------------------------------------------------


def tokenizer_samples() -> Iterator[bytes]:
    """Sound tokenizers of several kinds."""
    words = ["<unk>", "<s>", "</s>", *(f"w{i}" for i in range(5))]
    entry = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    special = [{"id": 1, "content": "<s>", **entry, "special": True}]
    plain: dict[str, Any] = {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": {"type": "Whitespace"},
        "model": {
            "type": "WordLevel",
            "vocab": {word: i for i, word in enumerate(words)},
            "unk_token": "<unk>",
        },
    }
    merges = {"vocab": {"a": 0, "b": 1, "ab": 2, "c": 3}, "merges": [["a", "b"]]}
    pieces = {"unk_id": 0, "vocab": [["<unk>", 0.0], ["a", -1.0], ["b", -2.0]]}
    yield json.dumps(plain).encode()
    more = {**plain["model"]["vocab"], "new": 8}
    yield json.dumps({**plain, "model": {**plain["model"], "vocab": more}}).encode()
    yield json.dumps({**plain, "added_tokens": special}).encode()
    yield json.dumps({**plain, "model": {"type": "BPE", **merges}}).encode()
    yield json.dumps({**plain, "model": {"type": "Unigram", **pieces}}).encode()


def read_tokenizer(folder: Path, data: bytes) -> None:
    """Unite a tokenizer with another one."""
    for each in ("base", "tuned-1"):
        (folder / each / _TOKENIZER).write_bytes(next(tokenizer_samples()))
    which = "base" if data and data[-1] % 2 else "tuned-1"
    (folder / which / _TOKENIZER).write_bytes(data)
    planned(folder, _UNION, data)


def added_samples() -> Iterator[bytes]:
    """Tokens that stand beside a tokenizer."""
    entry = {"content": "<new>", "lstrip": False, "normalized": False, "special": True}
    yield json.dumps({"added_tokens_decoder": {"8": entry}, "tokenizer_class": "X"}).encode()
    yield json.dumps({"<more>": 9, "<most>": 10}).encode()
    yield json.dumps({"chat_template": [{"name": "default", "template": "{{ x }}"}]}).encode()


def read_added(folder: Path, data: bytes) -> None:
    """Unite tokenizers of which one has tokens beside it."""
    for file in (_SETTINGS, _ADDED):
        (folder / "tuned-1" / file).write_bytes(data)
    planned(folder, _UNION, data)


def template_samples() -> Iterator[bytes]:
    """Chat templates, without the brace that they begin with."""
    yield b"% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    yield b"%- generation -%}{{ 1 + 2 }}{%- endgeneration -%}{# note #}"


def read_template(folder: Path, data: bytes) -> None:
    """Take the chat template of a model, and the same from a recipe."""
    (folder / "tuned-1" / _TEMPLATE).write_bytes(b"{" + data)
    text = data.decode("utf-8", "surrogateescape")
    quoted = json.dumps("{" + text)
    planned(folder, _TEMPLATED, data)
    planned(folder, _TEMPLATED.replace("auto", quoted), data)
