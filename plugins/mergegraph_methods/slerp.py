"""SLERP: interpolation of two models along the arc between their directions (Shoemake 1985)."""

from collections.abc import Iterable
from typing import Annotated, Any
from warnings import warn

from mergegraph import (
    Between,
    MergeGraphError,
    MergeWarning,
    Method,
    Spec,
    Task,
    hookimpl,
    method,
    op,
)
from mergegraph.ops import combine, gram
from mergegraph_methods.parts.spheres import arc

SMALLEST = 1e-8  # a norm below this has no direction


@op(infer=lambda _gram, **_numbers: Spec((2,), "float64"))
def _slerp_weights(dots: Any, *, t: float, dot_threshold: float) -> Any:
    """What to take of each of two vectors, by their Gram matrix."""
    (aa, ab), (_, bb) = dots
    return arc(aa, ab, bb, t=t, dot_threshold=dot_threshold, smallest=SMALLEST)


@method(
    group="averaging",
    paper="Animating rotation with quaternion curves, SIGGRAPH 1985",
    recommended={"t": 0.5},
    counts=Between(0, 2),
)
def slerp(
    models: list[Task],
    base: Task | None = None,
    *,
    t: float,
    dot_threshold: Annotated[float, Between(0, 1)] = 0.9995,
) -> Task:
    """Interpolate two models on the sphere, so that norms do not shrink on the way.

    θ = [sin((1−t)Ω)·a + sin(tΩ)·b] / sin Ω, Ω the angle between a (the base, or else the first
    model) and b, both taken as one long vector. Vectors that are nearly (anti)parallel, or zero,
    are joined by a line.

    Fine-tunings of one base are so close that arc and line hardly differ. Where they do, the arc
    keeps the norm that the average of two directions loses. To tell layers apart, give `t` as a
    gradient or by filters.

    t: 0 gives the first model, 1 the other; values outside extrapolate.
    dot_threshold: cosine beyond which a line is used, for numerical stability.
    """
    pair = models if base is None else [base, *models]
    if len(pair) == 1:
        return pair[0]
    if len(pair) != 2:  # noqa: PLR2004
        raise MergeGraphError(f"slerp: takes exactly two models, not {len(pair)}")
    if not 0 <= t <= 1:
        warn(f"t {t:g} is outside of 0 to 1: it leads beyond the models", MergeWarning, 2)
    return combine(*pair, _slerp_weights(gram(*pair), t=t, dot_threshold=dot_threshold))


@hookimpl
def merge_methods() -> Iterable[Method]:
    """Offer slerp."""
    return [slerp]
