"""Tasks: tensors not yet computed, each an op applied to other tasks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal, overload

from mergegraph.errors import MergeGraphError
from mergegraph.spec import Spec

FastKernel = Callable[[int], Callable[..., Any]]
Cut = Literal["load", "pointwise", "rowwise", "scan", "fold", "whole"]


@dataclass(frozen=True, eq=False)
class Op:
    """A pure kernel, what can be said of its result unrun, and how it may be cut.

    `kernel(*tensors, **numbers)` gives one tensor and leaves its inputs as they were. What it is
    handed depends on `cut`:

    - `pointwise`: flat strips; entry k of the result needs entries k of the inputs.
    - `rowwise`: strips of whole rows, `[rows, entries of a row]`; a vector is one row.
    - `fold`: flat strips; the results of all strips are merged by `combine`, in order, and
      `finish` makes the value of what they come to.
    - `scan`: as fold, but those who use it beside the same strips are given what the strips before
      theirs came to, zeros before the first; merging must be exact, as it is with counts.
    - `whole`: the tensors themselves.

    Small inputs (folds, and what is made of them alone) arrive whole in every case. A kernel with a
    keyword `start` is told the flat index of its strip's first entry.
    """

    name: str
    kernel: Callable[..., Any]
    cut: Cut
    infer: Callable[..., Spec]
    copies: int
    combine: Callable[[Any, Any], Any]
    finish: Callable[[Any], Any]
    small: bool
    resizes: bool
    fast: FastKernel | None
    defaults: Mapping[str, Any]
    keywords: frozenset[str]
    positioned: bool

    def __call__(self, *inputs: Task, **numbers: Any) -> Task:
        """The task of applying this op; raises MergeGraphError if the shapes do not fit."""
        if unknown := numbers.keys() - self.keywords:
            raise TypeError(f"{self.name} takes no {', '.join(sorted(unknown))}")
        filled = {**self.defaults, **{name: _frozen(value) for name, value in numbers.items()}}
        if missing := self.keywords - filled.keys():
            raise TypeError(f"{self.name} needs {', '.join(sorted(missing))}")
        if not inputs and self.cut != "load":
            raise TypeError(f"{self.name} needs a tensor")
        spec = self.infer(*(task.spec for task in inputs), **filled)
        small = self.small or (bool(inputs) and all(task.is_small for task in inputs))
        if self.cut not in ("load", "whole") and not all(each.is_small for each in inputs):
            _check_positions(self, inputs, spec)
        return Task(self, inputs, filled, spec, _digest(self, inputs, filled, spec), small)

    def __repr__(self) -> str:
        return f"<op {self.name} ({self.cut})>"


@dataclass(frozen=True, eq=False, slots=True)
class Task:
    """One tensor not yet computed: data only; `key` is a digest of everything that defines it."""

    op: Op
    inputs: tuple[Task, ...]
    numbers: Mapping[str, Any]
    spec: Spec
    key: str
    is_small: bool

    @property
    def is_scan(self) -> bool:
        """Whether users are given what the strips before theirs came to."""
        return self.op.cut == "scan"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Task) and other.key == self.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        return f"<task {self.op.name} {self.spec} {self.key[:8]}>"


@overload
def op(kernel: Callable[..., Any]) -> Op: ...
@overload
def op(
    *,
    cut: Cut = "whole",
    copies: int = 1,
    infer: Callable[..., Spec] | None = None,
    combine: Callable[[Any, Any], Any] | None = None,
    finish: Callable[[Any], Any] | None = None,
    small: bool = False,
    resizes: bool = False,
    fast: FastKernel | None = None,
) -> Callable[[Callable[..., Any]], Op]: ...
def op(
    kernel: Callable[..., Any] | None = None,
    *,
    cut: Cut = "whole",
    copies: int = 1,
    infer: Callable[..., Spec] | None = None,
    combine: Callable[[Any, Any], Any] | None = None,
    finish: Callable[[Any], Any] | None = None,
    small: bool = False,
    resizes: bool = False,
    fast: FastKernel | None = None,
) -> Op | Callable[[Callable[..., Any]], Op]:
    """Make an op of a function of tensors (positional) and numbers (keyword).

    - `copies`: how many tensors of the size of its largest input or result the kernel allocates,
      the result included.
    - `infer`: takes the inputs' specs and the numbers and gives the result's spec; by default that
      of the first input.
    - `combine`: merges what two neighbouring strips of a fold or a scan gave; by default their sum.
    - `finish`: makes a fold's value of what all strips came to; by default it is just that.
    - `small`: a whole op gives a few numbers, to be handed whole to other ops.
    - `resizes`: inputs and result may differ in their number of rows.
    - `fast`: makes, for a number of inputs, another kernel that comes to the same bits in less
      time, or raises ImportError where what it needs is not installed.
    """

    def wrap(function: Callable[..., Any]) -> Op:
        parameters = inspect.signature(function).parameters.values()
        keywords = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
        return Op(
            name=_name(function),
            kernel=function,
            cut=cut,
            infer=infer or like_first,
            copies=copies,
            combine=combine or _add,
            finish=finish or _as_it_is,
            small=small or cut == "fold",
            resizes=resizes,
            fast=fast,
            defaults={p.name: _frozen(p.default) for p in keywords if p.default is not p.empty},
            keywords=frozenset(p.name for p in keywords if p.name != "start"),
            positioned=any(p.name == "start" for p in keywords),
        )

    return wrap if kernel is None else wrap(kernel)


def like_first(first: Spec, *_others: Spec, **_numbers: Any) -> Spec:
    """A result with the shape and dtype of the first input."""
    return first


def walk(*roots: Task) -> Iterator[Task]:
    """Every task the roots stand on, inputs before users, each once, in a fixed order."""
    seen: set[str] = set()
    stack = [(task, False) for task in reversed(roots)]
    while stack:
        task, opened = stack.pop()
        if opened:
            yield task
        elif task.key not in seen:
            seen.add(task.key)
            stack.append((task, True))
            stack.extend((parent, False) for parent in reversed(task.inputs))


def _check_positions(made: Op, inputs: tuple[Task, ...], spec: Spec) -> None:
    if made.cut in ("scan", "fold", "whole") and any(task.is_scan for task in inputs):
        raise TypeError(f"{made.name} cannot be handed a scan: it is no strip of anything")
    big = [task.spec for task in inputs if not task.is_small and not task.is_scan]
    shapes = [each.shape for each in (big if made.cut in ("scan", "fold") else [*big, spec])]
    if made.resizes:
        shapes = [shape[1:] for shape in shapes]
    if len(set(shapes)) > 1:
        told = " and ".join(dict.fromkeys(str(each.shape) for each in big))
        raise MergeGraphError(f"{made.name.rpartition('.')[2]}: shapes differ: {told}")


def _as_it_is(merged: Any) -> Any:
    return merged


def _add(first: Any, second: Any) -> Any:
    return first + second


def _frozen(value: Any) -> Any:
    return tuple(_frozen(each) for each in value) if isinstance(value, list | tuple) else value


def _canonical(value: Any) -> str:
    """Text that is equal for equal values only; things on disk are known by their identity."""
    if isinstance(value, tuple):
        return "(" + ",".join(map(_canonical, value)) + ")"
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    identity = getattr(value, "identity", None)
    if not isinstance(identity, str):
        raise TypeError(f"{value!r} is neither a number nor a word, and has no identity")
    return identity


def _name(kernel: Callable[..., Any]) -> str:
    """The name of a kernel; of one made inside a function, with a digest of what it closes over."""
    name = f"{kernel.__module__}.{kernel.__qualname__}"
    if "<" not in kernel.__qualname__:
        return name
    held = [cell.cell_contents for cell in kernel.__closure__ or ()]
    text = f"{kernel.__code__.co_code!r}{kernel.__code__.co_consts!r}{held!r}"
    return f"{name}:{blake2b(text.encode(), digest_size=8).hexdigest()}"


def _digest(made: Op, inputs: tuple[Task, ...], numbers: Mapping[str, Any], spec: Spec) -> str:
    text = [made.name, *(task.key for task in inputs), str(spec)]
    text += [f"{name}={_canonical(numbers[name])}" for name in sorted(numbers)]
    return blake2b("\n".join(text).encode(), digest_size=16).hexdigest()
