"""The grammar of recipe documents, as pydantic models: what may stand where."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

DtypeName = Literal["float32", "float16", "bfloat16", "float64"]
OutDtypeName = Literal[DtypeName, "float8_e4m3fn"]
OnMissing = Literal["error", "skip", "base", "drop"]
OnVocab = Literal["error", "intersect", "base"]
OnNonfinite = Literal["raise", "base", "propagate"]
Parameters = dict[str, Any]
OVERRIDE = "override_architecture"  # mergekit's; layers are found without architectures here
WAYS = ("models", "slices", "modules", "depth_upscaling")  # to say what is merged
_NO_MODEL = "is not a model; give a path, or {model: {path: ...}}"


def _reference(value: Any) -> Any:
    """A model reference as text, `path@revision+adapter`, also where it is spelled out."""
    if not isinstance(value, dict):
        return str(value) if type(value) is int else value
    if "model" not in value:
        return _part(value)
    if value.keys() - {"model", "lora", OVERRIDE}:
        raise ValueError(_NO_MODEL)
    lora = value.get("lora")
    return _part(value["model"]) + ("" if lora is None else f"+{_part(lora)}")


def _part(value: Any) -> str:
    given = {"path": value} if isinstance(value, str) else value
    if not isinstance(given, dict) or given.keys() - {"path", "revision"} or not given.get("path"):
        raise ValueError(_NO_MODEL)
    if not all(isinstance(each, str | None) for each in given.values()):
        raise ValueError(_NO_MODEL)
    return "@".join(each for each in (given["path"], given.get("revision")) if each)


_PATH: dict[str, Any] = {
    "type": "object",
    "properties": {
        "path": {"type": "string", "minLength": 1},
        "revision": {"type": ["string", "null"]},
    },
    "required": ["path"],
    "additionalProperties": False,
}
_WORD_OR_PATH: list[dict[str, Any]] = [{"type": "string", "minLength": 1}, _PATH]
_SPELLED_OUT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "model": {"anyOf": _WORD_OR_PATH},
        "lora": {"anyOf": [*_WORD_OR_PATH, {"type": "null"}]},
        OVERRIDE: {"type": ["string", "null"]},
    },
    "required": ["model"],
    "additionalProperties": False,
}
ModelReference = Annotated[
    str,
    BeforeValidator(_reference),
    Field(min_length=1),
    WithJsonSchema({"anyOf": [*_WORD_OR_PATH, {"type": "integer"}, _SPELLED_OUT]}),
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class ModelEntry(_Strict):
    """A whole model that takes part."""

    model: ModelReference
    parameters: Parameters | None = None


class SourceEntry(_Strict):
    """A range of a model's layers, `[start, end)`, that takes part in a slice."""

    model: ModelReference
    layer_range: Annotated[list[int], Field(min_length=2, max_length=2)]
    parameters: Parameters | None = None


class SliceEntry(_Strict):
    """Layers merged one by one from sources of equal length, and put after the slice before."""

    sources: Annotated[list[SourceEntry], Field(min_length=1)]
    base_model: ModelReference | None = None
    parameters: Parameters | None = None
    residual_weight: float | None = None


class ModuleEntry(_Strict):
    """A part of a model, by the prefix of its tensors' names, with models or slices of its own."""

    models: Annotated[list[ModelEntry], Field(min_length=1)] | None = None
    slices: Annotated[list[SliceEntry], Field(min_length=1)] | None = None
    parameters: Parameters | None = None


class UpscalingEntry(_Strict):
    """Two copies of a model on end, the first without its last layers, the second its first."""

    model: ModelReference
    remove: Annotated[int, Field(ge=0)]
    parameters: Parameters | None = None


_NO_SOURCE = "is not a model, {kind: zero}, or {kind: model_token, model, token | token_id}"


def _token_source(value: Any) -> dict[str, Any] | None:
    """Where a token's row comes from, spelled out."""
    if value is None:
        return None
    if not isinstance(value, dict) or "kind" not in value:
        return {"kind": "model", "model": _given_reference(value)}
    if value == {"kind": "zero"}:
        return value
    if value["kind"] != "model_token" or value.keys() - {"kind", "model", "token", "token_id"}:
        raise ValueError(_NO_SOURCE)
    if "model" not in value or ("token" in value) == ("token_id" in value):
        raise ValueError("of kind model_token needs a model, and either a token or a token_id")
    row = value.get("token_id", 0)
    if not isinstance(value.get("token", ""), str) or type(row) is not int or row < 0:
        raise ValueError("of kind model_token has a word as token, or a whole number as token_id")
    return {**value, "model": _given_reference(value["model"])}


def _given_reference(value: Any) -> str:
    found = _reference(value)
    if not isinstance(found, str) or not found:
        raise ValueError(_NO_SOURCE)
    return found


_ZERO: dict[str, Any] = {
    "type": "object",
    "properties": {"kind": {"const": "zero"}},
    "required": ["kind"],
    "additionalProperties": False,
}
_REFERENCES = [*_WORD_OR_PATH, {"type": "integer"}, _SPELLED_OUT]
_MODEL_TOKEN: dict[str, Any] = {
    "type": "object",
    "properties": {
        "kind": {"const": "model_token"},
        "model": {"anyOf": _REFERENCES},
        "token": {"type": "string"},
        "token_id": {"type": "integer", "minimum": 0},
    },
    "required": ["kind", "model"],
    "oneOf": [{"required": ["token"]}, {"required": ["token_id"]}],
    "additionalProperties": False,
}
TokenSource = Annotated[
    Any,
    BeforeValidator(_token_source),
    WithJsonSchema({"anyOf": [*_REFERENCES, _ZERO, _MODEL_TOKEN, {"type": "null"}]}),
]


class TokenEntry(_Strict):
    """Where a token's row is taken from, and whether also by models that have the token."""

    source: TokenSource = None
    force: bool = False


class TokenizerEntry(_Strict):
    """The vocabulary of the result."""

    source: ModelReference = "union"
    tokens: dict[str, TokenEntry] | None = None
    pad_to_multiple_of: Annotated[int, Field(ge=1)] | None = None


class AdapterEntry(_Strict):
    """The adapter that comes of merging adapters: its rank, or how much of it is to be kept."""

    rank: Annotated[int, Field(ge=1)] | None = None
    energy: Annotated[float, Field(gt=0, le=1)] | None = None


class DocumentEntry(_Strict):
    """One merge."""

    name: Annotated[str, Field(min_length=1)] | None = None
    merge_method: str
    models: Annotated[list[ModelEntry], Field(min_length=1)] | None = None
    slices: Annotated[list[SliceEntry], Field(min_length=1)] | None = None
    modules: Annotated[dict[str, ModuleEntry], Field(min_length=1)] | None = None
    depth_upscaling: UpscalingEntry | None = None
    base_model: ModelReference | None = None
    parameters: Parameters | None = None
    dtype: DtypeName | None = None
    out_dtype: OutDtypeName | None = None
    tokenizer_source: ModelReference | None = None
    tokenizer: TokenizerEntry | None = None
    chat_template: str | None = None
    adapter: AdapterEntry | None = None
    out: Annotated[str, Field(min_length=1)] | None = None
    seed: Annotated[int, Field(ge=0)] | None = None
    on_missing: OnMissing = "error"
    on_vocab: OnVocab = "error"
    on_nonfinite: OnNonfinite = "raise"


# what a key of the recipe holds -> the model that says which keys may follow
ENTRIES: dict[str, type[_Strict]] = {
    "models": ModelEntry,
    "slices": SliceEntry,
    "sources": SourceEntry,
    "modules": ModuleEntry,
    "depth_upscaling": UpscalingEntry,
    "tokenizer": TokenizerEntry,
    "adapter": AdapterEntry,
    "tokens": TokenEntry,
}
