"""The grammar of recipe documents, as pydantic models: what may stand where."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

DtypeName = Literal["float32", "float16", "bfloat16", "float64"]
Parameters = dict[str, Any]


def _reference(value: Any) -> Any:
    """A model reference as text, `path@revision+adapter`, also where it is spelled out."""
    if not isinstance(value, dict):
        return str(value) if isinstance(value, int | float) else value
    model = value.get("model", value)
    parts = [_part(model), _part(value["lora"])] if value.get("lora") else [_part(model)]
    unknown = value.keys() - {"model", "lora", "path", "revision"}
    if unknown or not all(parts):
        raise ValueError("is not a model: give a path, or {model: {path: ...}}")
    return "+".join(parts)


def _part(value: Any) -> str:
    if not isinstance(value, dict):
        return str(value or "")
    revision = f"@{value['revision']}" if value.get("revision") else ""
    return f"{value.get('path', '')}{revision}"


ModelReference = Annotated[str, BeforeValidator(_reference), Field(min_length=1)]


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


class DocumentEntry(_Strict):
    """One merge."""

    name: Annotated[str, Field(min_length=1)] | None = None
    merge_method: str
    models: Annotated[list[ModelEntry], Field(min_length=1)] | None = None
    slices: Annotated[list[SliceEntry], Field(min_length=1)] | None = None
    modules: Annotated[dict[str, ModuleEntry], Field(min_length=1)] | None = None
    base_model: ModelReference | None = None
    parameters: Parameters | None = None
    dtype: DtypeName | None = None
    out_dtype: DtypeName | None = None
    tokenizer_source: ModelReference | None = None
    tokenizer: dict[str, Any] | None = None
    chat_template: str | None = None
    out: Annotated[str, Field(min_length=1)] | None = None
    seed: Annotated[int, Field(ge=0)] | None = None
    on_missing: Literal["error", "skip", "base"] = "error"
    on_vocab: Literal["error", "intersect", "base"] = "error"
    on_nonfinite: Literal["raise", "base", "propagate"] = "raise"


# what a key of the recipe holds -> the model that says which keys may follow
ENTRIES: dict[str, type[_Strict]] = {
    "models": ModelEntry,
    "slices": SliceEntry,
    "sources": SourceEntry,
    "modules": ModuleEntry,
}
