"""What the names of tensors tell: layers, what stands before them, vocabularies, heads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

_LAYER = re.compile(r"(?P<stack>.*?[A-Za-z_]\w*)\.(?P<index>\d{1,5})\.(?P<rest>.+)")
_EMBEDDING = re.compile(
    r"(?:^|[./])(?:embed_tokens|wte|word_embeddings|tok_embeddings|embeddings|embed_in|shared"
    r"|token_embedding)\.weight$"
)
_HEAD = re.compile(
    r"(?:^(?:output|decoder|proj_out)"
    r"|(?:^|[./])(?:lm_head|embed_out|output_layer|output_projection"
    r"|(?:lm_head|predictions)\.decoder))\.weight$"
)
_QUANTIZED = re.compile(
    r"(?:^|\.)(?:qweight|qzeros|weight_scale(?:_2|_inv)?|weight_global_scale|weight_packed|SCB"
    r"|scale_weight|scaled_fp8|weight\.(?:absmax|quant_map|nested_absmax|quant_state\..+)"
    r"|\w+_proj_(?:blocks|scales|scale|scale_inv))$"
)
_BEFORE_LAYERS = re.compile(r"embed|wte|wpe|tok_|position|token_type|patch|conv_in|stem|pre_la?y")


_LONGEST = 1000  # letters; those in use have some hundred


def is_name(text: str) -> bool:
    """Whether a text may be the name of a tensor: printable, and not of any length."""
    return 0 < len(text) <= _LONGEST and text.isprintable()


@dataclass(frozen=True)
class LayerName:
    """A tensor name taken apart at its layer number."""

    stack: str
    index: int
    rest: str

    def numbered(self, index: int) -> str:
        """The same name in another layer."""
        return f"{self.stack}.{index}.{self.rest}"


def layer_of(name: str) -> LayerName | None:
    """The layer of a tensor: the first whole number among the parts of its name."""
    found = _LAYER.match(name)
    return LayerName(found["stack"], int(found["index"]), found["rest"]) if found else None


def layer_stacks(names: Iterable[str]) -> Mapping[str, int]:
    """The number of layers of every stack (`model.layers`, `encoder.block`, ...)."""
    counts: dict[str, int] = {}
    for name in names:
        if layer := layer_of(name):
            counts[layer.stack] = max(counts.get(layer.stack, 0), layer.index + 1)
    return MappingProxyType(counts)


def stands_before_layers(name: str) -> bool:
    """Whether a tensor outside all layers belongs to the input side, as embeddings do."""
    found = is_embedding(name) or _BEFORE_LAYERS.search(name)
    return bool(found) and not is_head(name)


def is_embedding(name: str) -> bool:
    """Whether a tensor holds the input embeddings of a vocabulary."""
    return bool(_EMBEDDING.search(name)) and layer_of(name) is None


def is_head(name: str) -> bool:
    """Whether a tensor maps hidden states to a vocabulary."""
    return bool(_HEAD.search(name)) and layer_of(name) is None


def holds_rows_of_words(name: str, *shapes: tuple[int, ...]) -> bool:
    """Whether tensors of a name differ in rows alone, one for each word of a vocabulary."""
    is_table = is_embedding(name) or is_head(name) or layer_of(name) is None
    ends = {shape[1:] for shape in shapes}
    return is_table and len(ends) == 1 and all(len(shape) in (1, 2) for shape in shapes)


def part_of(name: str) -> str:
    """The folder of the part of a model that a tensor belongs to, as `unet/`; "" is the root."""
    return name[: name.rfind("/") + 1]


def stands_under(name: str, prefix: str) -> bool:
    """Whether a tensor belongs to what a prefix names: a module, or a part of a model."""
    return name.startswith((f"{prefix}.", f"{prefix}/"))


def is_of_all_layers(name: str) -> bool:
    """Whether a tensor outside all layers holds something for each of them."""
    return "per_layer" in name


def is_quantized(name: str) -> bool:
    """Whether a tensor holds packed weights, or the scales of quantised ones."""
    return bool(_QUANTIZED.search(name))
