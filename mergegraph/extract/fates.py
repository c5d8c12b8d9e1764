"""What becomes of every tensor: factored to a rank, saved whole, equal to the base, or left out."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isnan, sqrt

from mergegraph.errors import MergeGraphError
from mergegraph.extract.kinds import FACTORED, Kind, Pair, Paired
from mergegraph.ops.sketch import NOTHING

MAX_RANK = 32


@dataclass(frozen=True)
class Wishes:
    """What is asked of an adapter.

    With `rank` every tensor gets that rank; else as many as hold the share `energy` of Σσ², whose
    singular values are above `sv_epsilon`, and no more than `max_rank`.
    """

    max_rank: int = MAX_RANK
    rank: int | None = None
    energy: float | None = None
    sv_epsilon: float = 0.0
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    save_modules: tuple[str, ...] = ()
    embed_lora: bool = False

    @property
    def most(self) -> int:
        """The highest rank there may be."""
        return self.max_rank if self.rank is None else self.rank

    def check(self) -> None:
        """Raise MergeGraphError if something cannot be asked for."""
        if self.most < 1:
            raise MergeGraphError(f"a rank of {self.most}: give one of at least 1")
        if self.energy is not None and not 0 < self.energy <= 1:
            raise MergeGraphError(f"--energy {self.energy:g} is not above 0 and at most 1")
        if self.rank is not None and self.energy is not None:
            raise MergeGraphError("--rank and --energy: give --max-rank with --energy")
        if self.sv_epsilon < 0:
            raise MergeGraphError(f"--sv-epsilon {self.sv_epsilon:g} is below 0")
        if isnan(self.sv_epsilon):
            raise MergeGraphError("--sv-epsilon nan is not a number")
        for option, patterns in (("--include", self.include), ("--exclude", self.exclude)):
            for each in patterns:
                _check_pattern(option, each)

    def unmatched(self, modules: Collection[str]) -> Iterator[str]:
        """What names no module, option and all."""
        for option, patterns in (("--include", self.include), ("--exclude", self.exclude)):
            for each in patterns:
                if not any(re.search(each, module) for module in modules):
                    yield f"{option} {each}"
        for each in self.save_modules:
            if not any(_is_named(module, each) for module in modules):
                yield f"--save-module {each}"

    def takes(self, module: str) -> bool:
        """Whether a module is asked for."""
        if any(re.search(each, module) for each in self.exclude):
            return False
        return not self.include or any(re.search(each, module) for each in self.include)

    def saves(self, module: str) -> bool:
        """Whether a module is asked for as a whole."""
        return any(_is_named(module, each) for each in self.save_modules)


@dataclass(frozen=True)
class Measured:
    """How far a tensor is from its base's: ‖δ‖, ‖base‖, and the leading singular values of δ."""

    change: float
    size: float
    values: tuple[float, ...] = ()

    def error(self, rank: int) -> float:
        """‖δ − δᵣ‖ / ‖δ‖ at a rank."""
        if not self.change:
            return 0.0
        held = sum(each * each for each in self.values[:rank])
        return sqrt(max(0.0, 1 - held / self.change**2))

    @property
    def distance(self) -> float:
        """‖δ‖ / ‖base‖."""
        return self.change / self.size if self.size else float("inf")


@dataclass(frozen=True)
class Fates:
    """The tensors of each fate, in the order of the base."""

    ranks: Mapping[str, int]
    whole: tuple[str, ...]
    equal: tuple[str, ...]
    left_out: Mapping[str, str]
    capped: tuple[str, ...] = ()


def may_factor(pair: Pair, paired: Paired, wishes: Wishes) -> bool:
    """Whether a tensor is to be factored, if it differs from its base's."""
    if not pair.can_be_factored or wishes.saves(pair.module):
        return False
    if pair.kind == "embedding":
        return wishes.embed_lora and pair.name not in paired.tied
    return pair.kind in ("matrix", "turned", "conv", "expert", "router")


def decide(paired: Paired, found: Mapping[str, Measured], wishes: Wishes) -> Fates:
    """What becomes of every tensor, by how far it is from its base's."""
    pairs = paired.pairs
    ranks: dict[str, int] = {}
    whole: list[str] = []
    left_out: dict[str, str] = {}
    capped: list[str] = []
    for pair in pairs:
        measured = found[pair.name]
        if not measured.change:
            continue
        if not wishes.takes(pair.module):
            left_out[pair.name] = "not asked for"
        elif may_factor(pair, paired, wishes):
            wanted = _rank(measured, wishes)
            if not wanted:
                left_out[pair.name] = f"no singular value is above {wishes.sv_epsilon:g}"
                continue
            ranks[pair.name] = min(wanted, wishes.most)
            capped += [pair.name] * (wanted > wishes.most)
        elif reason := _no_place(pair):
            left_out[pair.name] = reason
        else:
            whole.append(pair.name)
    _even_out_experts(pairs, ranks, wishes)
    left_out = {name: why for name, why in left_out.items() if name not in ranks}
    whole = _with_siblings(pairs, whole, ranks)
    kept = {*ranks, *whole, *left_out}
    equal = tuple(pair.name for pair in pairs if pair.name not in kept)
    return Fates(ranks, tuple(whole), equal, left_out, tuple(capped))


def _rank(measured: Measured, wishes: Wishes) -> int:
    """The rank that a tensor is to have; one above the highest if that is not enough."""
    if wishes.rank is not None:
        return wishes.rank
    sound = [each for each in measured.values if each > NOTHING * measured.values[0]]
    above = [each for each in sound if each > wishes.sv_epsilon]
    if not above:
        return 0
    if wishes.energy is None:
        return min(len(above), wishes.max_rank)
    held, wanted = 0.0, wishes.energy * measured.change**2 * (1 - 1e-12)
    for rank, value in enumerate(above, 1):
        held += value * value
        if held >= wanted:
            return rank
    return len(above)


def _no_place(pair: Pair) -> str:
    """Why an adapter cannot hold a tensor; empty if it can."""
    if pair.kind != "other":
        return ""
    if len(pair.own.spec.shape) > 2:  # noqa: PLR2004 - more axes than a matrix has
        return "experts in one tensor, which adapters have no one layout for"
    return "a parameter of its own, which adapters do not hold"


def _even_out_experts(pairs: Sequence[Pair], ranks: dict[str, int], wishes: Wishes) -> None:
    """Give all experts, and the routers beside them, one rank: PEFT puts them side by side."""
    experts = [pair.name for pair in pairs if pair.kind == "expert" and wishes.takes(pair.module)]
    if not any(name in ranks for name in experts):
        return
    beside = [pair.name for pair in pairs if pair.kind == "router" and pair.name in ranks]
    rank = max(ranks[name] for name in (*experts, *beside) if name in ranks)
    ranks |= dict.fromkeys([*experts, *beside], rank)


def _with_siblings(
    pairs: Sequence[Pair], whole: Sequence[str], ranks: Mapping[str, int]
) -> list[str]:
    """What is saved whole, and the rest of its modules: PEFT wants all tensors of a module."""
    modules = saved_modules(pairs, whole)
    wanted = {*whole}
    wanted |= {pair.name for pair in pairs if pair.module in modules and pair.name not in ranks}
    return [pair.name for pair in pairs if pair.name in wanted]


def saved_modules(pairs: Sequence[Pair], whole: Sequence[str]) -> dict[str, None]:
    """The modules that are saved; biases of modules that could be factored stand alone."""
    linear = {pair.module for pair in pairs if pair.kind in (*FACTORED, "router")}
    named = {*whole}
    alone = {pair.name for pair in pairs if pair.kind == "bias" and pair.module in linear}
    return dict.fromkeys(
        pair.module for pair in pairs if pair.name in named and pair.name not in alone
    )


def table(
    pairs: Sequence[Pair], found: Mapping[str, Measured], fates: Fates
) -> list[tuple[Kind, int, str, float, float]]:
    """For each kind of factored tensors: how many, their ranks, the error of all, the worst."""
    rows: list[tuple[Kind, int, str, float, float]] = []
    for kind in dict.fromkeys(pair.kind for pair in pairs if pair.name in fates.ranks):
        of_kind = [each for each in pairs if each.kind == kind and each.name in fates.ranks]
        ranks = sorted({fates.ranks[each.name] for each in of_kind})
        told = str(ranks[0]) if len(ranks) == 1 else f"{ranks[0]} to {ranks[-1]}"
        errors = [found[each.name].error(fates.ranks[each.name]) for each in of_kind]
        changes = [found[each.name].change for each in of_kind]
        lost = sum((e * c) ** 2 for e, c in zip(errors, changes, strict=True))
        all_of_it = sum(c * c for c in changes)
        rows.append((kind, len(of_kind), told, sqrt(lost / all_of_it), max(errors)))
    return rows


def _is_named(module: str, name: str) -> bool:
    return f".{module}".endswith(f".{name}")


def _check_pattern(option: str, pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise MergeGraphError(f"{option} {pattern}: not a regular expression: {error}") from error
