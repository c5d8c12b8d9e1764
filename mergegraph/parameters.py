"""The parameters of merge methods: what a signature says of them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from types import SimpleNamespace, UnionType
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
)

from mergegraph.errors import MergeGraphError

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


def parameter_of(argument: inspect.Parameter, hint: Any, doc: str) -> Parameter:
    """The parameter that a keyword-only argument stands for; `doc` is the function's docstring."""
    per_model = get_origin(hint) is PerModel
    kind = get_args(hint)[0] if per_model else hint
    parts = list(_parts(kind))
    for each, _ in parts:
        if each not in (float, int, bool, str) and not isinstance(each, _Choice):
            fact = f"{hint!r} is not a kind that recipes can hold"
            raise MergeGraphError(f"parameter {argument.name}: {fact}")
    name = argument.name.rstrip("_")
    told = lines_on(name).search(doc)
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


def hints_of(function: Callable[..., Any], names: Collection[str]) -> dict[str, Any]:
    """The annotations of parameters alone: those of tensors may need imports for checkers only."""
    told = {each: hint for each, hint in function.__annotations__.items() if each in names}
    namespace = inspect.unwrap(function).__globals__
    return get_type_hints(SimpleNamespace(__annotations__=told), namespace, include_extras=True)


def lines_on(name: str) -> re.Pattern[str]:
    """What explains a parameter in a docstring: its line, and further ones that are indented."""
    return re.compile(rf"^\s*{re.escape(name)}: (.+(?:\n\s{{4,}}.+)*)", re.MULTILINE)


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
