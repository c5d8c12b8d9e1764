"""Merge methods: functions of tasks whose signature is their parameter schema."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, overload

from mergegraph.errors import MergeGraphError
from mergegraph.factors import Factors
from mergegraph.parameters import Between, Parameter, hints_of, lines_on, parameter_of
from mergegraph.tasks import Task

OTHERS = "others"  # the group of methods that name none
ANY_NUMBER = Between(0)
SEEDS = "seeds"  # keywords that are filled in: one number for each model's draws,
ABOUT = "about"  # what is known of the tensor,
SURVEY = "survey"  # and what the survey found for it
_TENSORS = frozenset({"base", "models"})
_FILLED = frozenset({SEEDS, ABOUT, SURVEY})


@dataclass(frozen=True)
class About:
    """What a method may know of the tensor that it is to make, but for its shape.

    `position` is 0 in the first layer, 1 in the last, and 0 outside of layers; `is_vocabulary` is
    said of embeddings and output heads.
    """

    position: float = 0.0
    in_layer: bool = False
    is_vocabulary: bool = False


@dataclass(frozen=True, eq=False)
class Request:
    """One tensor that a method is asked for: what it is made of, and its parameters' values."""

    base: Task | None
    models: Sequence[Task]
    values: Mapping[str, Any]
    about: About = About()


Survey = Callable[[Sequence[Request]], Sequence[Sequence[Task]]]
OnFactors = Callable[..., Factors]


@dataclass(frozen=True)
class Method:
    """A named way to make one merged tensor from one tensor of each model.

    `models` and `base` are tasks of equal shape in float32; so is the result. `base` is None where
    the recipe names none and the method can do without. A method with a `survey` also looks at all
    tensors of the models together, to find small values for each.
    """

    name: str
    function: Callable[..., Task]
    parameters: Mapping[str, Parameter]
    takes_base: bool
    needs_base: bool
    counts: Between
    fills: frozenset[str]
    survey: Survey | None
    on_factors: OnFactors | None
    without_effect: Mapping[str, str]
    group: str
    paper: str
    recommended: Mapping[str, Any]
    doc: str

    def __call__(
        self,
        base: Task | None,
        models: Sequence[Task],
        *,
        about: About = About(),
        survey: Sequence[Task] | None = None,
        **values: Any,
    ) -> Task:
        """The merged task of one tensor; raises MergeGraphError where the method cannot make it.

        `survey` is what the survey found for it; left out, the tensor is taken for a whole model.
        """
        defaults = {
            name: [each.default] * len(models) if each.per_model else each.default
            for name, each in self.parameters.items()
            if not each.required
        }
        request = Request(base, models, defaults | values, about)
        self._check_count(request)
        found = survey if survey is not None else self.surveyed([request])[0]
        known = self.parameters
        given = {
            known[name].keyword if name in known else name: value
            for name, value in request.values.items()
        }
        if self.takes_base:
            given["base"] = base
        filled = ((ABOUT, about), (SURVEY, found))
        given |= {word: each for word, each in filled if word in self.fills}
        return self.function(models=list(models), **given)

    def of_factors(self, models: Sequence[Factors], **values: Any) -> Factors:
        """What the method makes of changes that are products of small factors."""
        assert self.on_factors is not None, "asked of methods that know what to do with factors"
        if len(models) not in self.counts:
            raise MergeGraphError(f"{self.name}: takes {self.takes}, not {len(models)}")
        known = self.parameters
        given = {known[name].keyword if name in known else name: v for name, v in values.items()}
        return self.on_factors(models=list(models), **given)

    def surveyed(self, requests: Sequence[Request]) -> Sequence[Sequence[Task]]:
        """For each tensor of the models the small values that its survey finds; raises as calls do.

        They are empty where the parameters ask for nothing of the kind.
        """
        if self.survey is None or not requests:
            return [()] * len(requests)
        for each in requests:
            self._check_count(each)
        found = self.survey(requests)
        if found and len(found) != len(requests):
            fact = f"its survey gave values for {len(found)} of {len(requests)} tensors"
            raise MergeGraphError(f"method {self.name}: {fact}")
        return found or [()] * len(requests)

    def _check_count(self, request: Request) -> None:
        if len(request.models) not in self.counts:
            raise MergeGraphError(f"{self.name}: takes {self.takes}, not {len(request.models)}")

    @property
    def draws(self) -> bool:
        """Whether it draws at random."""
        return SEEDS in self.fills

    @property
    def summary(self) -> str:
        """The first sentence of its docstring."""
        return self.doc.partition("\n")[0]

    @property
    def paragraphs(self) -> tuple[str, ...]:
        """Its docstring by paragraphs, without what explains parameters."""
        text = self.doc
        for name in self.parameters:
            text = lines_on(name).sub("", text)
        return tuple(part.strip("\n") for part in text.split("\n\n") if part.strip())

    @property
    def takes(self) -> str:
        """How many models it takes besides the base, in words."""
        low, high = int(self.counts.low or 0), self.counts.high
        if high is None:
            return f"{low} or more models" if low else "any number of models"
        plural = "s" * (high > 1)
        return f"exactly {low} model{plural}" if low == high else f"{low} to {high:g} models"


@overload
def method(function: Callable[..., Task]) -> Method: ...
@overload
def method(
    *,
    name: str | None = None,
    group: str = OTHERS,
    paper: str = "",
    recommended: Mapping[str, Any] | None = None,
    counts: Between = ANY_NUMBER,
    survey: Survey | None = None,
    on_factors: OnFactors | None = None,
    without_effect: Mapping[str, str] | None = None,
) -> Callable[[Callable[..., Task]], Method]: ...
def method(
    function: Callable[..., Task] | None = None,
    *,
    name: str | None = None,
    group: str = OTHERS,
    paper: str = "",
    recommended: Mapping[str, Any] | None = None,
    counts: Between = ANY_NUMBER,
    survey: Survey | None = None,
    on_factors: OnFactors | None = None,
    without_effect: Mapping[str, str] | None = None,
) -> Method | Callable[[Callable[..., Task]], Method]:
    """Make a merge method of a function `name(base, models, *, parameters…)` of tasks.

    Without an argument `base` the method takes none; with `base=None` it may do without.
    Keyword-only arguments are the recipe's parameters: `float`, `int`, `bool`, `str`, `Literal` or
    a union of them, `Annotated[..., Between(low, high)]` for a range, `PerModel[...]` for one value
    a model. A trailing underscore is dropped (`lambda_`).

    The docstring is what users read: a sentence that says the idea, a paragraph with the formula,
    further ones with what is good to know, and lines `name: text` for the parameters.

    Three arguments are filled in: `seeds: PerModel[int]`, so that draws keyed by it are independent
    for every seed, stage, model and tensor; `about: About`, what is known of the tensor; and
    `survey`, what the function given as `survey` found for it.

    - `group`: under which the method is listed.
    - `paper`: title and number of what it follows.
    - `recommended`: parameters' values that the authors, or experience, recommend.
    - `counts`: how many models it takes besides the base.
    - `survey`: a function of the requests for all tensors of the models, in order, called once for
      a stage. It gives a sequence of small tasks for each, all of one length, or nothing at all if
      the parameters ask for nothing.
    - `on_factors`: the same for models whose tensors are changes `Factors`, to a base of zeros, as
      those of adapters are. It takes `models` and the parameters, and gives `Factors`.
    - `without_effect`: parameters that recipes may carry and that change nothing, with the reason.

    Raises MergeGraphError if the signature cannot be that of a method.
    """

    def wrap(function: Callable[..., Task]) -> Method:
        signature = inspect.signature(function).parameters
        told = name or function.__name__
        _check_arguments(told, signature)
        hints = hints_of(function, signature.keys() - _TENSORS - _FILLED)
        doc = inspect.cleandoc(function.__doc__ or "")
        parameters = {
            each.name: each
            for each in (
                parameter_of(argument, hints.get(argument.name, float), doc)
                for argument in signature.values()
                if argument.name not in _TENSORS | _FILLED
            )
        }
        _check_recommended(told, recommended or {}, parameters)
        base = signature.get("base")
        return Method(
            name=told,
            function=function,
            parameters=MappingProxyType(parameters),
            takes_base=base is not None,
            needs_base=base is not None and base.default is base.empty,
            counts=counts,
            fills=_FILLED & signature.keys(),
            survey=survey,
            on_factors=on_factors,
            without_effect=MappingProxyType(dict(without_effect or {})),
            group=group,
            paper=paper,
            recommended=MappingProxyType(dict(recommended or {})),
            doc=doc,
        )

    return wrap if function is None else wrap(function)


def _check_arguments(name: str, signature: Mapping[str, inspect.Parameter]) -> None:
    """Refuse a signature that could not be called."""
    if "models" not in signature:
        raise MergeGraphError(f"method {name}: takes no models; write {name}(base, models, *, …)")
    for each in signature.values():
        if each.name not in _TENSORS and each.kind is not each.KEYWORD_ONLY:
            raise MergeGraphError(
                f"method {name}: {each} is not keyword-only, as parameters of recipes are; "
                "put it after a *"
            )


def _check_recommended(
    name: str, recommended: Mapping[str, Any], parameters: Mapping[str, Parameter]
) -> None:
    """Refuse recommendations that no recipe could follow."""
    for word, value in recommended.items():
        if word not in parameters:
            raise MergeGraphError(f"method {name}: recommends {word}, which is no parameter of it")
        if problem := parameters[word].problem(value):
            raise MergeGraphError(f"method {name}: recommends {word} {value}, which {problem}")
