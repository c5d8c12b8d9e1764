"""Targets: what reads files of others, and files that it reads rightly."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fuzzing import cards, models, recipes, weights
from fuzzing.mutations import Mutate, of_archive, of_bytes, of_json, of_safetensors, of_text


@dataclass(frozen=True)
class Target:
    """A reader: `lay` puts what stands around the file into a folder, `read` has it read there.

    `samples` are sound files, and `mutate` is how to change them.
    """

    name: str
    about: str
    read: Callable[[Path, bytes], None]
    samples: Callable[[], Iterable[bytes]]
    mutate: Mutate
    lay: Callable[[Path], None] = lambda _folder: None


TARGETS: Mapping[str, Target] = {
    each.name: each
    for each in (
        Target(
            "header",
            "headers of safetensors files, with the library as oracle",
            weights.read_safetensors,
            weights.safetensors_samples,
            of_safetensors,
        ),
        Target(
            "torch",
            "files of torch.save, with torch as oracle",
            weights.read_torch,
            weights.torch_samples,
            of_archive,
        ),
        Target(
            "pickle",
            "pickles inside of files of torch.save",
            weights.read_pickle,
            weights.pickle_samples,
            of_bytes,
        ),
        Target(
            "index",
            "model.safetensors.index.json",
            weights.read_index,
            weights.index_samples,
            of_json,
            weights.lay_shards,
        ),
        Target(
            "parts",
            "model_index.json and modules.json of models in several folders",
            weights.read_parts,
            weights.part_samples,
            of_json,
            weights.lay_parts,
        ),
        Target(
            "config",
            "config.json of a model whose layers are stacked anew",
            models.read_config,
            models.config_samples,
            of_json,
            models.lay_family,
        ),
        Target(
            "tensors",
            "names and shapes of a model's tensors",
            models.read_tensors,
            models.tensor_samples,
            of_json,
            models.lay_family,
        ),
        Target(
            "adapter_config",
            "adapter_config.json",
            models.read_adapter_config,
            models.adapter_config_samples,
            of_json,
            models.lay_adapter,
        ),
        Target(
            "adapter",
            "names and shapes of an adapter's tensors",
            models.read_adapter,
            models.adapter_samples,
            of_json,
            models.lay_adapter,
        ),
        Target(
            "tokenizer",
            "tokenizer.json of a model that is united with others",
            models.read_tokenizer,
            models.tokenizer_samples,
            of_json,
            models.lay_family,
        ),
        Target(
            "added",
            "tokenizer_config.json and added_tokens.json",
            models.read_added,
            models.added_samples,
            of_json,
            models.lay_family,
        ),
        Target(
            "template",
            "chat templates of models and recipes",
            models.read_template,
            models.template_samples,
            of_text,
            models.lay_family,
        ),
        Target("recipe", "recipes", recipes.read, recipes.samples, of_text),
        Target("mixture", "recipes for experts", recipes.read_experts, recipes.experts, of_text),
        Target("setting", "values of --set", recipes.read_setting, recipes.settings, of_text),
        Target("manifest", "manifests of results", cards.read_manifest, cards.manifests, of_json),
        Target("card", "cards of models", cards.read_card, cards.cards, of_text),
    )
}
