"""The shapes of the models that are measured, and the sizes to choose from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

Shape = tuple[int, ...]
BFLOAT16_NBYTES = 2


@dataclass(frozen=True)
class Architecture:
    """A Llama, or with `experts` a mixture of them."""

    layers: int
    hidden: int
    ffn: int
    vocabulary: int
    heads: int
    kv_heads: int
    experts: int = 0

    @property
    def nbytes(self) -> int:
        """Bytes of all weights in bfloat16."""
        return BFLOAT16_NBYTES * sum(map(prod, self.tensors().values()))

    def tensors(self) -> dict[str, Shape]:
        """The shape of every tensor, by name, in the order of the file."""
        layer = dict(self._layer())
        return {
            "model.embed_tokens.weight": (self.vocabulary, self.hidden),
            **{
                f"model.layers.{number}.{name}.weight": shape
                for number in range(self.layers)
                for name, shape in layer.items()
            },
            "model.norm.weight": (self.hidden,),
            "lm_head.weight": (self.vocabulary, self.hidden),
        }

    def config(self) -> dict[str, Any]:
        """What config.json says of such a model."""
        is_mixture = self.experts > 0
        return {
            "architectures": ["Qwen3MoeForCausalLM" if is_mixture else "LlamaForCausalLM"],
            "model_type": "qwen3_moe" if is_mixture else "llama",
            "hidden_size": self.hidden,
            "intermediate_size": self.ffn,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "vocab_size": self.vocabulary,
            "tie_word_embeddings": False,
            "torch_dtype": "bfloat16",
            **({"num_experts": self.experts} if is_mixture else {}),
        }

    def _layer(self) -> Iterator[tuple[str, Shape]]:
        square = (self.hidden, self.hidden)
        narrow = (self.hidden // self.heads * self.kv_heads, self.hidden)
        yield "input_layernorm", (self.hidden,)
        yield "self_attn.q_proj", square
        yield "self_attn.k_proj", narrow
        yield "self_attn.v_proj", narrow
        yield "self_attn.o_proj", square
        yield "post_attention_layernorm", (self.hidden,)
        if self.experts:
            yield "mlp.gate", (self.experts, self.hidden)
        for block in self._blocks():
            yield f"{block}.gate_proj", (self.ffn, self.hidden)
            yield f"{block}.up_proj", (self.ffn, self.hidden)
            yield f"{block}.down_proj", (self.hidden, self.ffn)

    def _blocks(self) -> list[str]:
        return [f"mlp.experts.{number}" for number in range(self.experts)] or ["mlp"]


@dataclass(frozen=True)
class Size:
    """How large a run of the benchmarks is."""

    family: Architecture  # merged
    dense: Architecture  # only planned
    mixture: Architecture  # only planned


LLAMA_2_7B = Architecture(32, 4096, 11008, 32000, 32, 32)
# planning costs by the tensor, not by its size: these are small, so that little disk must be free
MIXTURE_OF_60_000 = Architecture(78, 256, 64, 32000, 4, 4, experts=256)

SIZES = {
    "tiny": Size(
        family=Architecture(2, 32, 96, 256, 4, 2),
        dense=Architecture(2, 32, 96, 256, 4, 2),
        mixture=Architecture(2, 32, 16, 256, 4, 2, experts=4),
    ),
    "quick": Size(
        family=Architecture(20, 1024, 2816, 32000, 16, 4),
        dense=LLAMA_2_7B,
        mixture=MIXTURE_OF_60_000,
    ),
    "full": Size(
        family=Architecture(22, 2048, 5632, 32000, 32, 4),
        dense=LLAMA_2_7B,
        mixture=MIXTURE_OF_60_000,
    ),
}
