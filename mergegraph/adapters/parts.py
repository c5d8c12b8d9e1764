"""The tensors of an adapter, by what their names say they are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mergegraph.errors import MergeGraphError

PREFIX = "base_model.model."
_INNER = ".base_layer"  # what is between a module and those wrapped around it
_FACTOR = re.compile(
    r"(?P<module>.+?)\.(?P<part>lora_(?:A|B|embedding_A|embedding_B|magnitude_vector))"
    r"(?:\.(?!weight$|bias$)[^.]+)?(?:\.(?P<leaf>weight|bias))?"
)
_TOKENS = re.compile(r"(?P<module>.+?)\.token_adapter\.trainable_tokens_delta(?:\.[^.]+)?")
_TOKENS_BASE = re.compile(r"(?P<module>.+?)\.token_adapter\.base_layer\.(?P<leaf>\w+)")
_SAVED = re.compile(r"(?P<module>.+?)\.modules_to_save\.(?:default\.)?(?P<leaf>.+)")
_PAIRS = (("lora_A", "lora_B"), ("lora_embedding_A", "lora_embedding_B"))


@dataclass(frozen=True)
class Factors:
    """The factors of one module's change, by the names of their tensors.

    Where several parameters of a module have changes, these are wrapped around one another, and
    `depth` counts the wrappers outside of its own.
    """

    module: str
    depth: int
    first: str
    second: str
    is_embedding: bool = False
    magnitude: str | None = None
    bias: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all its tensors."""
        found = (self.first, self.second, self.magnitude, self.bias)
        return tuple(name for name in found if name is not None)


@dataclass(frozen=True)
class Parts:
    """Everything in an adapter: what each tensor is for, by the names that PEFT has for modules."""

    factors: tuple[Factors, ...]
    replaced: Mapping[str, str] = field(default_factory=dict)  # whole tensors: name -> own name
    tokens: Mapping[str, str] = field(default_factory=dict)  # rows of embeddings: module -> name


def read_parts(names: Iterable[str], label: str) -> Parts:
    """Tell what the tensors of an adapter are; raises MergeGraphError if one is half of a pair."""
    found: dict[tuple[str, int], dict[str, str]] = {}
    replaced: dict[str, str] = {}
    tokens: dict[str, str] = {}
    for name in names:
        inner = name.removeprefix(PREFIX)
        if match := _FACTOR.fullmatch(inner):
            module, depth = _unwrapped(match["module"])
            part = "bias" if match["leaf"] == "bias" else match["part"]
            found.setdefault((module, depth), {})[part] = name
        elif match := _TOKENS.fullmatch(inner):
            tokens[match["module"]] = name
        else:
            kept = _TOKENS_BASE.fullmatch(inner) or _SAVED.fullmatch(inner)
            target = f"{kept['module']}.{kept['leaf']}" if kept else _unwrapped(inner)[0]
            replaced[target] = name
    factors = tuple(_factors(label, *key, parts) for key, parts in sorted(found.items()))
    return Parts(factors, replaced, tokens)


def _factors(label: str, module: str, depth: int, parts: Mapping[str, str]) -> Factors:
    pair = next((pair for pair in _PAIRS if set(pair) <= parts.keys()), None)
    if pair is None or any(each in parts for other in _PAIRS if other != pair for each in other):
        fact = f"{module} has {' and '.join(sorted(parts))}, not a pair of factors"
        raise MergeGraphError(f"{label}: {fact}; is the file whole?")
    return Factors(
        module,
        depth,
        parts[pair[0]],
        parts[pair[1]],
        is_embedding=pair is _PAIRS[1],
        magnitude=parts.get("lora_magnitude_vector"),
        bias=parts.get("bias"),
    )


def _unwrapped(name: str) -> tuple[str, int]:
    """A name without the marks of wrappers, and how many there were."""
    return name.replace(_INNER, ""), name.count(_INNER)
