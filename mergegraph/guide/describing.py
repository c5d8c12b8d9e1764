"""What there is to know of an installed method, as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mergegraph.guide.example import Example, example_of
from mergegraph.methods import OTHERS, Method
from mergegraph.parameters import Parameter
from mergegraph.plugins import Plugins

BUNDLED = "mergegraph"  # the package that needs no mention
GROUPS = (  # in the order of a course; those of plugins follow
    "averaging",
    "task vectors",
    "sparse",
    "subspaces",
    "whole models",
    "layers",
    "trajectories",
)
SYMBOLS = {  # as all formulas use them
    "θ₀": "θ₀: base",
    "θᵢ": "θᵢ: models",
    "τ": "τᵢ: task vectors θᵢ − θ₀",
    "⊙": "⊙: product of entries",
    "‖": "‖·‖: length",
}
NAMED = {"wᵢ": "weight", "λ": "lambda"}  # symbols of parameters
_RELATIONS = "=←≈∝"  # what a formula has, and a sentence has not


@dataclass(frozen=True)
class ParameterFacts:
    """A parameter of a method; `recommended` is None where nobody recommends a value."""

    name: str
    values: str
    per_model: bool
    required: bool
    default: Any
    recommended: Any
    meaning: str


@dataclass(frozen=True)
class Description:
    """A method; `passes` over each tensor, and the `recipe`, are at recommended values.

    `surveys` says whether it looks at whole models before it merges a tensor of them.
    """

    name: str
    package: str
    group: str
    idea: str
    formula: str
    notes: tuple[str, ...]
    parameters: tuple[ParameterFacts, ...]
    without_effect: Mapping[str, str]
    paper: str
    base: Literal["needed", "optional", "none"]
    models: str
    surveys: Literal["always", "if parameters ask for it", "never"]
    draws: bool
    passes: int | None
    recipe: str

    @property
    def is_bundled(self) -> bool:
        """Whether it came with the engine."""
        return is_bundled(self.package)

    @property
    def legend(self) -> str:
        """What the symbols of the formula stand for, as far as it does not say so itself."""
        names = {each.name for each in self.parameters}
        named = {sign: f"{sign}: {word}" for sign, word in NAMED.items() if word in names}
        told = [text for sign, text in {**SYMBOLS, **named}.items() if sign in self.formula]
        return ", ".join(text for text in told if text.partition(":")[0] + " =" not in self.formula)

    @property
    def facts(self) -> dict[str, str]:
        """Where it is from and what it takes, each in a few words."""
        base = {"needed": "a base, and ", "optional": "a base if there is one, and ", "none": ""}
        looks = {
            "always": "all tensors of the models together, before it merges each",
            "if parameters ask for it": "each tensor alone, or all together if parameters say so",
            "never": "each tensor alone",
        }
        found = {
            "group": self.group,
            "paper": self.paper,
            "takes": base[self.base] + self.models,
            "looks at": looks[self.surveys],
            "random": "draws from a seed; equal seeds give equal bytes" if self.draws else "",
            "passes": f"{self.passes} over each tensor, in the recipe below" if self.passes else "",
            "package": "" if self.is_bundled else self.package,
        }
        return {word: text for word, text in found.items() if text}


def describe(plugins: Plugins, name: str) -> Description:
    """Everything about one method."""
    method = plugins.methods[name]
    example = example_of(method)
    idea, formula, notes = _told(method.paragraphs)
    return Description(
        name=name,
        package=plugins.package(name),
        group=method.group,
        idea=idea,
        formula=formula,
        notes=notes,
        parameters=tuple(
            facts_of(each, method.recommended.get(each.name)) for each in method.parameters.values()
        ),
        without_effect=dict(method.without_effect),
        paper=method.paper,
        base="needed" if method.needs_base else "optional" if method.takes_base else "none",
        models=method.takes,
        surveys=_surveys(method, example),
        draws=method.draws,
        passes=example.passes,
        recipe=example.recipe,
    )


def by_group(plugins: Plugins, names: Iterable[str]) -> Iterator[tuple[str, list[Method]]]:
    """Methods under the names of their groups, those that name none at the end."""
    found: dict[str, list[Method]] = {}
    for name in names:
        method = plugins.methods[name]
        found.setdefault(method.group, []).append(method)
    for group in _in_order(found):
        yield group, found[group]


def is_bundled(package: str) -> bool:
    """Whether a package, told with its version, is the engine's own."""
    return package.rpartition(" ")[0] == BUNDLED


def _in_order(groups: Iterable[str]) -> list[str]:
    found = {*groups}
    return [g for g in (*GROUPS, *sorted(found - {*GROUPS, OTHERS}), OTHERS) if g in found]


def _told(paragraphs: tuple[str, ...]) -> tuple[str, str, tuple[str, ...]]:
    """The idea, the formula where the second paragraph has one, and what else is good to know."""
    idea, *others = paragraphs or ("",)
    has_formula = bool(others) and any(sign in others[0] for sign in _RELATIONS)
    formula = others.pop(0) if has_formula else ""
    return " ".join(idea.split()), formula, tuple(others)


def facts_of(parameter: Parameter, recommended: Any = None) -> ParameterFacts:
    """What there is to know of a parameter."""
    within = f", {parameter.within}" if parameter.within else ""
    return ParameterFacts(
        name=parameter.name,
        values=parameter.kind + within,
        per_model=parameter.per_model,
        required=parameter.required,
        default=parameter.default,
        recommended=recommended,
        meaning=parameter.help,
    )


def _surveys(
    method: Method, example: Example
) -> Literal["always", "if parameters ask for it", "never"]:
    if not method.survey:
        return "never"
    return "always" if example.is_surveyed else "if parameters ask for it"
