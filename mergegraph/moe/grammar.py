"""The grammar of recipes for mixtures of experts, that of mergekit-moe: what may stand where."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from mergegraph.recipe.grammar import DtypeName, ModelReference

GateMode = Literal["hidden", "hidden_avg", "hidden_last", "cheap_embed", "random", "uniform_random"]


def _number(value: Any) -> Any:
    return float(value) if type(value) is int else value


Number = Annotated[float, BeforeValidator(_number)]
Prompts = list[str]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class ExpertEntry(_Strict):
    """A model whose MLPs are an expert of every layer, and what it is to be chosen for."""

    source_model: ModelReference
    positive_prompts: Prompts | None = None
    negative_prompts: Prompts | None = None
    noise_scale: Annotated[Number, Field(ge=0)] | None = None
    residual_scale: Number | None = None


class MixtureEntry(_Strict):
    """A mixture of experts."""

    base_model: ModelReference
    experts: Annotated[list[ExpertEntry], Field(min_length=1)]
    gate_mode: GateMode = "hidden"
    dtype: DtypeName | None = None
    experts_per_token: Annotated[int, Field(ge=1)] = 2
    shared_experts: list[ExpertEntry] | None = None
    architecture: str | None = None
    seed: Annotated[int, Field(ge=0)] | None = None
