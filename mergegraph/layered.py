"""What a config says of single layers: lists, numbers and patterns that follow the layers."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from mergegraph.config import Config, config_of, counts_of, in_part
from mergegraph.errors import MergeGraphError
from mergegraph.names import part_of

_NEXT = "num_nextn_predict_layers"  # layers behind the last one, which guess further tokens
_NOT_OF_LAYERS = re.compile(
    r"token|label|architectures|dtype|image|kernel|stride|dilation|section|limit"
    r"|^(?:conv|tdnn)_|^(?:ssm|mlp)_multipliers$|^stage_names$|^out_"
)
_NUMBERS = re.compile(r"layers?$|blocks?$|layer_\w*ind|index(?:es)?$|indices$|idxs?$|_ids$")
_TAPS = re.compile(r"deepstack|intermediate|feature")  # outputs of these layers go elsewhere, too
_CYCLES = ("block_types",)
_FIRST = ("first_k_dense_replace", "num_dense_layers", "n_dense_layers")
_LAST = ("num_kv_shared_layers",)
_KINDS = ("layer_types", "layers_block_type")

# of a layer's number: every how many layers it is of another kind, and which is the first
_PERIODS: Mapping[str, tuple[str | int, tuple[str, ...]]] = {
    "decoder_sparse_step": (-1, ()),
    "moe_layer_freq": (0, ()),
    "moe_layer_interval": (-1, ()),
    "interleave_moe_layer_step": (-1, ("moe_layers",)),
    "no_rope_layer_interval": (-1, ("no_rope_layers",)),
    "sliding_window_pattern": (-1, _KINDS),
    "_sliding_window_pattern": (-1, _KINDS),
    "full_attention_interval": (-1, _KINDS),
    "global_attn_every_n_layers": (0, _KINDS),
    "attn_layer_period": ("attn_layer_offset", _KINDS),
    "expert_layer_period": ("expert_layer_offset", ()),
}


@dataclass(frozen=True)
class _Saying:
    """A value that says something of every layer, and how to say it of other layers.

    `tells` has of a value, a layer's number and the number of layers what is said of the layer;
    `said` has of the old value and what is to be told of each layer a new value.
    """

    tells: Callable[[Any, int, int], Any]
    said: Callable[[Any, list[Any]], Any]


def with_layers(
    config: Config, stack: str, before: int, sources: Sequence[tuple[Config, int]]
) -> dict[str, Any]:
    """The config of a stack of layers, each given by the config and the number it came from.

    The stack's layer count, which was `before`, becomes the new count, and whatever is said of
    single layers beside it is said of those they came from. Raises MergeGraphError if it cannot be.
    """
    if part_of(stack) and part_of(stack) in config:
        inside = [(config_of(each, stack), layer) for each, layer in sources]
        rest = stack.removeprefix(part_of(stack))
        return in_part(config, stack, lambda own: with_layers(own, rest, before, inside))
    adapted = copy.deepcopy(dict(config))
    if adapted.get("is_encoder_decoder") and type(adapted.get("num_layers")) is int:
        adapted.setdefault("num_decoder_layers", adapted["num_layers"])
    for path, part, count in counts_of(adapted, stack, before):
        own = [(_inside(source, path), at) for source, at in sources]
        for key, saying in _sayings(part, before).items():
            part[key] = _followed(key, saying, part[key], before, own, count)
        part.update(_stages(part, before, [at for _, at in sources]))
        part[count] = len(sources)
        if type(part.get(_NEXT)) is int:
            part[_NEXT] = 0  # they guess from the last layer, and are not among the ranges
    return adapted


def said_of_layers(config: Config, stack: str, count: int) -> list[str]:
    """All that a config says of each layer of a stack, in one text."""
    told = [""] * count
    for _, part, _ in counts_of(dict(config_of(config, stack)), stack, count):
        for key, saying in _sayings(part, count).items():
            each = (saying.tells(part[key], at, count) for at in range(count))
            told = [f"{before}{key}={now!r} " for before, now in zip(told, each, strict=True)]
    return told


def _followed(
    key: str,
    saying: _Saying,
    value: Any,
    before: int,
    sources: Sequence[tuple[Mapping[str, Any], int]],
    count: str,
) -> Any:
    """A value that says of each layer what is said where it came from."""
    wanted = []
    for source, at in sources:
        among = source[count] if type(source.get(count)) is int else before
        own = key in _sayings(source, among) and at < among
        asked, of = (source[key], among) if own else (value, before)
        wanted.append(saying.tells(asked, min(at, of - 1), of))
    made = saying.said(value, wanted)
    for i, (_, at) in enumerate(sources):
        if saying.tells(made, i, len(sources)) != wanted[i]:
            fact = f"config.json has {key}: {value}, by which layer {i} would not be of the kind"
            remedy = "choose ranges that keep the pattern"
            raise MergeGraphError(f"{fact} of layer {at}, which is put there; {remedy}")
    if _TAPS.search(key) and isinstance(value, list) and len(made) != len(value):
        fact = f"config.json has {key}: {value}, and each of these layers is needed once"
        raise MergeGraphError(f"{fact}; choose ranges that have them")
    return made


def _stages(part: Mapping[str, Any], before: int, taken: Sequence[int]) -> dict[str, Any]:
    """What a backbone says of its outputs, `stem` and one for each layer, by names and numbers."""
    names = part.get("stage_names")
    if not isinstance(names, list) or len(names) != before + 1:
        return {}
    places = [i for i, name in enumerate(names) if name in (part.get("out_features") or ())]
    if any(taken.count(i - 1) != 1 for i in places if 0 < i < before):
        fact = f"config.json has out_features: {part['out_features']}"
        raise MergeGraphError(f"{fact}, and each of these layers is needed once")
    moved = [len(taken) if i == before else i and taken.index(i - 1) + 1 for i in places]
    now = ["stem", *(f"stage{i + 1}" for i in range(len(taken)))]
    told = {"out_features": [now[i] for i in moved], "out_indices": moved}
    return {"stage_names": now, **{key: value for key, value in told.items() if key in part}}


def _inside(config: Any, path: Sequence[str]) -> Mapping[str, Any]:
    """The part of a config at a path; nothing if there is none."""
    for step in path:
        config = config.get(step) if isinstance(config, Mapping) else None
    return config if isinstance(config, Mapping) else {}


# -- the manners of speaking -------------------------------------------------------------------


def _sayings(part: Mapping[str, Any], count: int) -> dict[str, _Saying]:
    """Everything in a part of a config that speaks of single layers of so many."""
    found = {key: _saying(part, key, value, count) for key, value in part.items()}
    return {key: saying for key, saying in found.items() if saying is not None}


def _saying(part: Mapping[str, Any], key: str, value: Any, count: int) -> _Saying | None:
    if isinstance(value, list):
        return _of_list(key, value, count)
    if isinstance(value, str):
        is_pattern = key.endswith("pattern") and len(value) == count
        return _Saying(_at, lambda _, wanted: "".join(wanted)) if is_pattern else None
    return _of_number(part, key) if type(value) is int else None


def _of_list(key: str, value: list[Any], count: int) -> _Saying | None:
    if _NOT_OF_LAYERS.search(key) or not value:
        return None
    if key in _CYCLES:
        return _Saying(lambda value, at, _: value[at % len(value)], _as_list)
    if _expanded(value) and len(_expanded(value)) == count:
        return _Saying(lambda value, at, _: _expanded(value)[at], lambda _, all_: [[all_, 1]])
    if _NUMBERS.search(key) and _are_numbers(value, count):
        return _Saying(lambda value, at, _: at in value, lambda _, wanted: _where(wanted))
    return _Saying(_at, _as_list) if len(value) == count else None


def _of_number(part: Mapping[str, Any], key: str) -> _Saying | None:
    if key in _FIRST:
        return _Saying(lambda value, at, _: at < value, lambda _, wanted: _leading(wanted))
    if key in _LAST:
        return _Saying(
            lambda value, at, count: at >= count - value, lambda _, wanted: _leading(wanted[::-1])
        )
    if key == "max_window_layers" and part.get("use_sliding_window") and not _tells(part, _KINDS):
        return _Saying(
            lambda value, at, _: at >= value, lambda _, all_: _leading([not each for each in all_])
        )
    if key in _PERIODS and part[key] > 0:
        first, lists = _PERIODS[key]
        offset = part.get(first, 0) if isinstance(first, str) else first
        if not _tells(part, lists) and type(offset) is int:
            return _Saying(lambda value, at, _: (at - offset) % value == 0, lambda value, _: value)
    return None


def _at(value: Any, at: int, _count: int) -> Any:
    return value[at]


def _as_list(_value: Any, wanted: list[Any]) -> list[Any]:
    return wanted


def _tells(part: Mapping[str, Any], lists: Sequence[str]) -> bool:
    """Whether one of some lists says in full what a number would."""
    return any(isinstance(part.get(key), list) for key in lists)


def _are_numbers(value: list[Any], count: int) -> bool:
    """Whether a list has numbers of layers, in order, rather than something of each layer."""
    if not all(type(each) is int and 0 <= each < count for each in value):
        return False
    in_order = all(a < b for a, b in pairwise(value))
    return in_order and (len(value) != count or count > 2)  # noqa: PLR2004 - [0, 1] may be flags


def _expanded(value: list[Any]) -> list[Any]:
    """What `[[[kind, ...], times], ...]` stands for; nothing of other lists."""
    found: list[Any] = []
    for each in value:
        match each:
            case [list(kinds), int(times)]:
                found += kinds * times
            case _:
                return []
    return found


def _where(wanted: Sequence[bool]) -> list[int]:
    return [i for i, is_so in enumerate(wanted) if is_so]


def _leading(wanted: Sequence[bool]) -> int:
    """How many there are until the first that is not."""
    return next((i for i, is_so in enumerate(wanted) if not is_so), len(wanted))
