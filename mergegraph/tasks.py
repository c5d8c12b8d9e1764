"""Tasks: tensors not yet computed, each an op applied to other tasks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal, overload

from mergegraph.errors import KernelError, MergeGraphError, failed
from mergegraph.spec import Spec

_PLAIN = (bool, int, float, str)

FastKernel = Callable[[], Callable[..., Any]]
Cut = Literal["load", "pointwise", "rowwise", "scan", "fold", "whole"]
EVERY = 2**31  # more inputs than any op has


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

    It `carries` so many of its first inputs: where one is NaN or infinite, so is the result.
    It `prunes` its first input if the result is that, zero where entries are not kept.
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
    device: Callable[..., Any] | None
    code: Callable[..., Any] | None
    carries: int
    prunes: bool
    defaults: Mapping[str, Any]
    keywords: frozenset[str]
    positioned: bool

    def __call__(self, *inputs: Task, **numbers: Any) -> Task:
        """The task of applying this op; raises MergeGraphError if the shapes do not fit."""
        filled = self.defaults
        if numbers:
            filled = {**filled, **{name: _frozen(value) for name, value in numbers.items()}}
        if filled.keys() != self.keywords:
            raise TypeError(f"{self.name} {_misfit(filled, self.keywords)}")
        if not inputs and self.cut != "load":
            raise TypeError(f"{self.name} needs a tensor")
        spec = self.infer(*[task.spec for task in inputs], **filled)
        big = [task for task in inputs if not task.is_small]
        if big and self.cut != "whole":
            _check_positions(self, big, spec)
        small = self.small or (not big and bool(inputs))
        key = key_of(definition(self, filled, spec), inputs)
        return Task(self, inputs, filled, spec, key, small)

    def __repr__(self) -> str:
        return f"<op {self.name} ({self.cut})>"

    @property
    def gathers(self) -> bool:
        """Whether the results of strips are merged, not put side by side."""
        return self.cut in ("fold", "scan")


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
    device: Callable[..., Any] | None = None,
    code: Callable[..., Any] | None = None,
    carries: int = 0,
    prunes: bool = False,
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
    device: Callable[..., Any] | None = None,
    code: Callable[..., Any] | None = None,
    carries: int = 0,
    prunes: bool = False,
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
    - `fast`: makes another kernel that comes to the same bits in less time, or raises ImportError
      where what it needs is not installed.
    - `device`: the kernel for tensors on an accelerator, where the plain one wants them in main
      memory, as numpy does; small inputs are there with them.
    - `code`: says the same to `instructions.Code`, so that it can be done block by block in the
      cache: `code(program, out, *inputs, **numbers)`, where strips are registers, small inputs
      their tensors and scans their keys; gives NotImplemented where it cannot be said.
    - `carries`: of so many of its first inputs a NaN or infinite entry never gets lost: it makes an
      entry of the result NaN or infinite, whatever the other inputs and the numbers are. `EVERY`
      stands for all of them. To look at the result is then to look at these inputs, too.
    - `prunes`: the result is the first input, rescaled or not, with zeros for entries not kept:
      then it can be told what share of a task vector a merge keeps.
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
            combine=_telling(_name(function), combine or _add),
            finish=_telling(_name(function), finish or _as_it_is),
            small=small or cut == "fold",
            resizes=resizes,
            fast=fast,
            device=device,
            code=code,
            carries=carries,
            prunes=prunes,
            defaults={p.name: _frozen(p.default) for p in keywords if p.default is not p.empty},
            keywords=frozenset(p.name for p in keywords if p.name != "start"),
            positioned=any(p.name == "start" for p in keywords),
        )

    return wrap if kernel is None else wrap(kernel)


def like_first(first: Spec, *_others: Spec, **_numbers: Any) -> Spec:
    """A result with the shape and dtype of the first input."""
    return first


def definition(made: Op, numbers: Mapping[str, Any], spec: Spec) -> str:
    """What a task's key is a digest of, but for its inputs."""
    text = [made.name, spec.dtype, str(spec.shape)]
    if numbers:
        text += [f"{name}={_canonical(numbers[name])}" for name in sorted(numbers)]
    return "\n".join(text)


def key_of(definition: str, inputs: Sequence[Task]) -> str:
    """The key of a task."""
    text = "\n".join([definition, *[task.key for task in inputs]])
    return blake2b(text.encode(), digest_size=16).hexdigest()


def walk(*roots: Task, above: Iterable[Task] = ()) -> Iterator[Task]:
    """Every task the roots stand on, inputs before users, each once, in a fixed order.

    The tasks that they are to be `above` are left out, and what these stand on.
    """
    seen = {task.key for task in above}
    stack = [(task, False) for task in reversed(roots)]
    while stack:
        task, opened = stack.pop()
        if opened:
            yield task
        elif task.key not in seen:
            seen.add(task.key)
            stack.append((task, True))
            stack.extend((parent, False) for parent in reversed(task.inputs))


def _misfit(given: Collection[str], keywords: Collection[str]) -> str:
    """What is wrong with the numbers that an op is given, in words that follow its name."""
    if unknown := set(given) - set(keywords):
        return f"takes no {', '.join(sorted(unknown))}"
    return f"needs {', '.join(sorted(set(keywords) - set(given)))}"


def _check_positions(made: Op, inputs: Sequence[Task], spec: Spec) -> None:
    """Whether strips of the inputs belong together; `inputs` are those that are not small."""
    shapes = {task.spec.shape for task in inputs if task.op.cut != "scan"}
    if made.gathers:
        if any(task.is_scan for task in inputs):
            raise TypeError(f"{made.name} cannot be handed a scan: it is no strip of anything")
    else:
        shapes.add(spec.shape)
    if len(shapes) > 1 and not (made.resizes and len({shape[1:] for shape in shapes}) == 1):
        big = [task.spec for task in inputs if not task.is_scan]
        told = " and ".join(dict.fromkeys(str(each.shape) for each in big))
        raise MergeGraphError(f"{made.name.rpartition('.')[2]}: shapes differ: {told}")


def _as_it_is(merged: Any) -> Any:
    return merged


def _add(first: Any, second: Any) -> Any:
    return first + second


def _telling(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that is part of an op, which says so where it fails."""

    def told(*values: Any) -> Any:
        try:
            return function(*values)
        except MergeGraphError as error:
            raise KernelError(str(error)) from error
        except (Exception, SystemExit) as error:
            raise failed(name, error) from error

    return told


def _frozen(value: Any) -> Any:
    return tuple(_frozen(each) for each in value) if isinstance(value, list | tuple) else value


def _canonical(value: Any) -> str:
    """Text that is equal for equal values only; things on disk are known by their identity."""
    if value is None or isinstance(value, _PLAIN):
        return repr(value)
    if isinstance(value, tuple):
        return "(" + ",".join(map(_canonical, value)) + ")"
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
