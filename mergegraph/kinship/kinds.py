"""Kinds of tensors, by their names: which part of a layer, or of the model, a tensor is."""

from __future__ import annotations

import re

from mergegraph.names import is_embedding, is_head

EMBEDDING, HEAD, NORM, MLP, OTHER = "embedding", "head", "norm", "mlp", "other"
ATTENTION = ("attention q", "attention k", "attention v", "attention o", "attention qkv")
KINDS = (EMBEDDING, *ATTENTION, MLP, NORM, HEAD, OTHER)

_TABLE = re.compile(r"(?:^|[./])(?:w[tp]e|\w*embed\w*)(?:[./]|$)")
_NORM = re.compile(
    r"(?:^|[._/])(?:\w*norm\w*|ln_?\w{0,12})\.(?:weight|bias|scale|gamma|beta)$", re.IGNORECASE
)
_WORDS = (
    (ATTENTION[4], r"qkv_proj|c_attn|query_key_value|in_proj(?:_\w+)?|Wqkv|qkv"),
    (ATTENTION[0], r"q_proj|query|wq|to_q|q_[ab]_proj|q_lin"),
    (ATTENTION[1], r"k_proj|key|wk|to_k|k_lin|kv_[ab]_proj(?:_with_mqa)?"),
    (ATTENTION[2], r"v_proj|value|wv|to_v|v_lin"),
    (ATTENTION[3], r"o_proj|wo|to_out|out_lin|out_proj"),
)
_PARTS = tuple(
    (kind, re.compile(rf"(?:^|[./])(?:{words})(?:\.\d+)?(?:\.|$)")) for kind, words in _WORDS
)
_IN_ATTENTION = re.compile(r"(?:^|[./])\w*att\w*[./]", re.IGNORECASE)
_OUT = re.compile(r"[./](?:dense|c_proj)\.")
_MLP = re.compile(
    r"(?:^|[./])(?:\w*mlp\w*|ffn|feed_forward|intermediate|output|experts?|shared_experts?"
    r"|block_sparse_moe|fc[12]|DenseReluDense|gate_proj|up_proj|down_proj|gate_up_proj)[./]"
)


def kind_of(name: str) -> str:
    """The kind of a tensor; `other` where its name tells nothing."""
    if is_head(name):
        return HEAD
    if _NORM.search(name):
        return NORM
    if is_embedding(name) or _TABLE.search(name):
        return EMBEDDING
    for kind, words in _PARTS:
        if words.search(name):
            return kind
    if _IN_ATTENTION.search(name) and _OUT.search(name):
        return ATTENTION[3]
    return MLP if _MLP.search(name) else OTHER
