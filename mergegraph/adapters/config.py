"""adapter_config.json: what it says of an adapter's tensors, read strictly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import isfinite, sqrt
from typing import Any

from mergegraph.adapters.patterns import Matches, ending_in
from mergegraph.errors import MergeGraphError
from mergegraph.files.checkpoint import ADAPTER
from mergegraph.files.jsonfiles import LARGEST_CONFIG, json_in
from mergegraph.files.trees import Tree

LORA = "LORA"
_BY_PEFT = "fold it into its base with merge_and_unload of PEFT and use the model that this gives"

_UNDERSTOOD = frozenset(
    (
        "peft_type",
        "r",
        "lora_alpha",
        "rank_pattern",
        "alpha_pattern",
        "use_rslora",
        "use_dora",
        "fan_in_fan_out",
        "bias",
        "lora_bias",
        "modules_to_save",
        "target_modules",
        "target_parameters",
        "trainable_token_indices",
        "ensure_weight_tying",
        "init_lora_weights",
        "base_model_name_or_path",
        "revision",
    )
)
# how it was trained, or which modules were chosen: the tensors that there are say that themselves
_WITHOUT_EFFECT = frozenset(
    (
        "task_type",
        "auto_mapping",
        "peft_version",
        "inference_mode",
        "lora_dropout",
        "layers_to_transform",
        "layers_pattern",
        "exclude_modules",
        "loftq_config",
        "eva_config",
        "corda_config",
        "lora_ga_config",
        "velora_config",
        "runtime_config",
        "megatron_core",
        "qalora_group_size",
    )
)
_REFUSED = {
    "alora_invocation_tokens": "it acts on some tokens only, so no weights come to the same",
    "arrow_config": "it chooses among adapters for every token, so no weights come to the same",
    "kasa_config": f"it changes its base, too; {_BY_PEFT}",
    "layer_replication": "it repeats layers of its base; stack them with slices, then fold",
    "megatron_config": "its tensors are parts for several processes; save it whole",
    "monteclora_config": f"it draws its changes at random; {_BY_PEFT}",
    "use_bdlora": f"its factors are blocks of a diagonal; {_BY_PEFT}",
    "use_qalora": f"its inputs are averaged in groups; {_BY_PEFT}",
}
# these start from parts of the base's weights, which they take away from the base
_OF_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")


@dataclass(frozen=True)
class AdapterConfig:
    """What is to be known to make use of an adapter's tensors."""

    path: str
    settings: Mapping[str, Any]

    def __getitem__(self, key: str) -> Any:
        return self.settings.get(key)

    @property
    def base(self) -> str | None:
        """The model that it was trained for, as it was named there."""
        named = self["base_model_name_or_path"]
        return named if isinstance(named, str) and named else None

    @property
    def tokens(self) -> Mapping[str, tuple[int, ...]]:
        """The rows of embeddings that it trained, by modules' names; the input's is ''."""
        given = self["trainable_token_indices"] or {}
        named = given if isinstance(given, Mapping) else {"": given}
        return {name: tuple(rows) for name, rows in named.items()}

    def saves(self, module: str) -> bool:
        """Whether a module was trained whole."""
        saved = self["modules_to_save"] or ()
        return any(module == each or module.endswith(f".{each}") for each in saved)

    def rank(self, module: str) -> int:
        """The rank of a module's factors."""
        return int(self._of_module("rank_pattern", "r", module))

    def scale(self, module: str) -> float:
        """What the product of a module's factors is multiplied by."""
        alpha = float(self._of_module("alpha_pattern", "lora_alpha", module))
        rank = self.rank(module)
        return alpha / sqrt(rank) if self["use_rslora"] else alpha / rank

    def _of_module(self, patterns: str, default: str, module: str) -> Any:
        """The value of the first pattern that a module's name ends in, as PEFT matches them."""
        named = self._ranks if patterns == "rank_pattern" else self._alphas
        return next((value for matches, value in named if matches(module)), self[default])

    @cached_property
    def _ranks(self) -> tuple[tuple[Matches, Any], ...]:
        return _compiled(self["rank_pattern"])

    @cached_property
    def _alphas(self) -> tuple[tuple[Matches, Any], ...]:
        return _compiled(self["alpha_pattern"])


def _compiled(patterns: Mapping[str, Any] | None) -> tuple[tuple[Matches, Any], ...]:
    return tuple((ending_in(pattern), value) for pattern, value in (patterns or {}).items())


def read_config(tree: Tree) -> AdapterConfig:
    """The config of an adapter; raises MergeGraphError if it cannot be followed."""
    path = str(tree.root / ADAPTER)
    settings = json_in(tree, ADAPTER, path, most=LARGEST_CONFIG)
    config = AdapterConfig(path, {"r": 8, "lora_alpha": 8, **settings})
    _check_kind(config)
    _check_start(config)
    for key, value in settings.items():
        if key in _REFUSED and value:
            raise MergeGraphError(f"{path}: {key} is set: {_REFUSED[key]}")
        if key not in _UNDERSTOOD | _WITHOUT_EFFECT and value:
            fact = f"{key} is set, and what it means for the weights is not known"
            raise MergeGraphError(f"{path}: {fact}; {_BY_PEFT}")
    _check_values(config)
    return config


def _check_kind(config: AdapterConfig) -> None:
    kind = config["peft_type"]
    if kind != LORA:
        raise MergeGraphError(f"{config.path}: peft_type is {kind}, not {LORA}; {_BY_PEFT}")


def _check_start(config: AdapterConfig) -> None:
    """Refuse adapters to a base from which something was taken away."""
    start = config["init_lora_weights"]
    if isinstance(start, str) and start.lower().startswith(_OF_BASE):
        fact = f"init_lora_weights is {start}, which changes the base as well"
        remedy = (
            "save it with path_initial_model_for_weight_conversion, or set it to true if the base "
            "given here is what was left of it"
        )
        raise MergeGraphError(f"{config.path}: {fact}; {remedy}")


def _check_values(config: AdapterConfig) -> None:
    """Refuse values that are not what their keys are for."""
    ranks = {"r": config["r"], **_pattern(config, "rank_pattern")}
    alphas = {"lora_alpha": config["lora_alpha"], **_pattern(config, "alpha_pattern")}
    for key, value in ranks.items():
        if type(value) is not int or value < 1:
            raise MergeGraphError(f"{config.path}: the rank {value!r} of {key} is no whole number")
    for key, value in alphas.items():
        if type(value) not in (int, float) or not isfinite(value):
            raise MergeGraphError(f"{config.path}: the alpha {value!r} of {key} is no number")
    for key in ("use_rslora", "use_dora", "fan_in_fan_out", "lora_bias"):
        if config[key] not in (None, True, False):
            raise MergeGraphError(f"{config.path}: {key} is {config[key]!r}, not true or false")
    if config["bias"] not in (None, "none", "all", "lora_only"):
        fact = f"bias is {config['bias']!r}, not none, all or lora_only"
        raise MergeGraphError(f"{config.path}: {fact}")
    _check_lists(config)


def _check_lists(config: AdapterConfig) -> None:
    for key in ("modules_to_save", "target_parameters"):
        value = config[key]
        if value is not None and not _is_list_of(str, value):
            raise MergeGraphError(f"{config.path}: {key} is {value!r}, not a list of names")
    tokens = config["trainable_token_indices"]
    lists = list(tokens.values()) if isinstance(tokens, Mapping) else [tokens]
    if tokens is not None and not all(_is_list_of(int, each) for each in lists):
        fact = f"trainable_token_indices is {tokens!r}, not lists of whole numbers"
        raise MergeGraphError(f"{config.path}: {fact}")


def _is_list_of(kind: type, value: Any) -> bool:
    return isinstance(value, list) and all(type(each) is kind for each in value)


def _pattern(config: AdapterConfig, key: str) -> Mapping[str, Any]:
    """The values for modules whose names match regular expressions."""
    found = config[key] or {}
    if not isinstance(found, Mapping):
        raise MergeGraphError(f"{config.path}: {key} is {found!r}, not a mapping of names")
    for pattern in found:
        try:
            ending_in(pattern)
        except MergeGraphError as error:
            raise MergeGraphError(f"{config.path}: {key}: {error}") from error
    return found
