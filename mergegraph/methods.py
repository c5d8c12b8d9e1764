"""Merge methods: functions of tasks whose signature is their parameter schema."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from types import MappingProxyType, SimpleNamespace, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Generic,
    Literal,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    overload,
)

from mergegraph.errors import MergeGraphError
from mergegraph.tasks import Task

T = TypeVar("T")


if TYPE_CHECKING:
    PerModel = Union[Any, Sequence[T]]  # noqa: UP007 - a generic alias, of the default and the list
else:

    class PerModel(Generic[T]):
        """The annotation of a parameter with a value for each model: it arrives as a list."""


@dataclass(frozen=True)
class Between:
    """A range that values of a parameter must be in: `Annotated[float, Between(0, 1)]`."""

    low: float | None = None
    high: float | None = None

    def __contains__(self, value: float) -> bool:
        above = self.low is None or value >= self.low
        return above and (self.high is None or value <= self.high)

    def __str__(self) -> str:
        if self.low is not None and self.high is not None:
            return f"between {self.low:g} and {self.high:g}"
        if self.low is not None:
            return f"at least {self.low:g}"
        return "any number" if self.high is None else f"at most {self.high:g}"


@dataclass(frozen=True)
class Parameter:
    """One parameter of a method, by its name in recipes."""

    name: str
    keyword: str
    kinds: tuple[type, ...]
    choices: tuple[Any, ...]
    within: Between | None
    per_model: bool
    default: Any
    required: bool
    help: str

    def problem(self, value: Any) -> str | None:
        """What is wrong with a value, in words that continue `density 1.4 ...`."""
        if type(value) in (int, float) and _takes_number(self.kinds):
            whole_only = float not in self.kinds
            if not isfinite(value) or (whole_only and value != int(value)):
                return f"is not {self.kind}"
            return None if self.within is None or value in self.within else f"is not {self.within}"
        switch = bool in self.kinds and value in (0, 1)
        fits = switch or type(value) in self.kinds or value in self.choices
        return None if fits else f"is not {self.kind}"

    def coerce(self, value: Any) -> Any:
        """A valid value in the parameter's own type: mergekit's numbers for switches included."""
        if type(value) not in (int, float):
            return value
        kinds = [kind for kind in (float, int, bool) if kind in self.kinds]
        return kinds[0](value) if kinds else value

    @property
    def kind(self) -> str:
        """What values are, in words."""
        named = {float: "a number", int: "a whole number", bool: "true or false", str: "a word"}
        words = [named[kind] for kind in self.kinds if kind in named]
        words += [f"'{choice}'" if isinstance(choice, str) else "empty" for choice in self.choices]
        return " or ".join(words)


@dataclass(frozen=True)
class Method:
    """A named way to make one merged tensor from one tensor of each model.

    `models` and `base` are tasks of equal shape in float32; so is the result. `base` is None where
    the recipe names none and the method can do without.
    """

    name: str
    function: Callable[..., Task]
    parameters: Mapping[str, Parameter]
    takes_base: bool
    needs_base: bool
    draws: bool
    without_effect: Mapping[str, str]
    doc: str

    def __call__(self, base: Task | None, models: Sequence[Task], **values: Any) -> Task:
        """The merged task; raises MergeGraphError where the method says that it cannot."""
        known = self.parameters
        given = {known[name].keyword if name in known else name: values[name] for name in values}
        if self.takes_base:
            given["base"] = base
        return self.function(models=list(models), **given)

    @property
    def summary(self) -> str:
        """The first sentence of its docstring."""
        return self.doc.partition("\n")[0]


_TENSORS = frozenset({"base", "models"})
SEEDS = "seeds"  # the keyword by which a method asks for one number for each model's draws


@overload
def method(function: Callable[..., Task]) -> Method: ...
@overload
def method(
    *, name: str | None = None, without_effect: Mapping[str, str] | None = None
) -> Callable[[Callable[..., Task]], Method]: ...
def method(
    function: Callable[..., Task] | None = None,
    *,
    name: str | None = None,
    without_effect: Mapping[str, str] | None = None,
) -> Method | Callable[[Callable[..., Task]], Method]:
    """Make a merge method of a function `name(base, models, *, parameters…)` of tasks.

    Without an argument `base` the method takes none; with `base=None` it may do without.
    Keyword-only arguments are the recipe's parameters: `float`, `int`, `bool`, `str`, `Literal` or
    a union of them, `Annotated[..., Between(low, high)]` for a range, `PerModel[...]` for one value
    a model. A trailing underscore is dropped (`lambda_`). Lines `name: text` of the docstring are
    their help. An argument `seeds: PerModel[int]` is filled in: draws keyed by it are independent
    for every seed, stage, model and tensor. `without_effect` names parameters that recipes may
    carry and that change nothing, with the reason.
    """

    def wrap(function: Callable[..., Task]) -> Method:
        signature = inspect.signature(function).parameters
        _check_arguments(function.__name__, signature)
        hints = _hints(function, signature.keys() - _TENSORS - {SEEDS})
        doc = inspect.cleandoc(function.__doc__ or "")
        parameters = [
            _parameter(each, hints.get(each.name, float), doc)
            for each in signature.values()
            if each.name not in _TENSORS and each.name != SEEDS
        ]
        base = signature.get("base")
        return Method(
            name=name or function.__name__,
            function=function,
            parameters=MappingProxyType({each.name: each for each in parameters}),
            takes_base=base is not None,
            needs_base=base is not None and base.default is base.empty,
            draws=SEEDS in signature,
            without_effect=MappingProxyType(dict(without_effect or {})),
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


def _hints(function: Callable[..., Task], names: Collection[str]) -> dict[str, Any]:
    """The annotations of parameters alone: those of tensors may need imports for checkers only."""
    told = {each: hint for each, hint in function.__annotations__.items() if each in names}
    namespace = inspect.unwrap(function).__globals__
    return get_type_hints(SimpleNamespace(__annotations__=told), namespace, include_extras=True)


def _parameter(argument: inspect.Parameter, hint: Any, doc: str) -> Parameter:
    per_model = get_origin(hint) is PerModel
    kind = get_args(hint)[0] if per_model else hint
    parts = list(_parts(kind))
    for each, _ in parts:
        if each not in (float, int, bool, str) and not isinstance(each, _Choice):
            fact = f"{hint!r} is not a kind that recipes can hold"
            raise MergeGraphError(f"parameter {argument.name}: {fact}")
    name = argument.name.rstrip("_")
    told = re.search(rf"^\s*{re.escape(name)}: (.+(?:\n\s{{4,}}.+)*)", doc, re.MULTILINE)
    required = argument.default is argument.empty
    return Parameter(
        name=name,
        keyword=argument.name,
        kinds=tuple(each for each, _ in parts if isinstance(each, type)),
        choices=tuple(each.value for each, _ in parts if isinstance(each, _Choice)),
        within=next((within for _, within in parts if within), None),
        per_model=per_model,
        default=None if required else argument.default,
        required=required,
        help=" ".join(told.group(1).split()) if told else "",
    )


@dataclass(frozen=True)
class _Choice:
    """One word, or None, that a parameter may be."""

    value: Any


def _parts(kind: Any, within: Between | None = None) -> Iterator[tuple[Any, Between | None]]:
    """The kinds and choices that an annotation admits, each with its range."""
    if get_origin(kind) is Annotated:
        kind, *notes = get_args(kind)
        yield from _parts(kind, next((each for each in notes if isinstance(each, Between)), None))
    elif get_origin(kind) in (Union, UnionType):
        for each in get_args(kind):
            yield from _parts(each, within)
    elif get_origin(kind) is Literal:
        yield from ((_Choice(each), None) for each in get_args(kind))
    else:
        yield (_Choice(None) if kind is type(None) else kind), within


def _takes_number(kinds: tuple[type, ...]) -> bool:
    return float in kinds or int in kinds
