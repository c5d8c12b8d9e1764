"""Combinations: a case is done plainly, then in other ways, and every byte must be the same."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mergegraph.errors import MergeGraphError, RunError
from mergegraph.writing.found import partial_path
from reliability.families import MODELS, Family
from reliability.jobs import Job, Kind, carry_out, warm_up
from reliability.nursery import Nursery
from reliability.recipes import methods, mixtures, plain_recipe, recipes
from reliability.sameness import Content, content_of
from reliability.ways import FILES, PLAIN, Kill, Way, memory_for, spelled, told_by, ways
from reliability.worlds import (
    ROOT,
    World,
    adapted,
    adapters,
    demo,
    dense,
    quantised,
    synthetic,
    tokens,
)

HASH_SEEDS = (0, 1, 20261)
_METHOD = re.compile(r'"merge_method": "(\w+)"')
_STRIPS = (200, 512, 2048, 128 * 1024)
_OTHERS = (
    Way(threads=7, budget="least", together=64, files=FILES, every=1),
    Way(threads=2, together=2, shard_size="700", is_compiled=True, nursery=0),
    Way(budget="little", nursery=1, kills=(Kill(0.15, 7, "least"), Kill(0.1, 2, "ample")), every=1),
)
_BATCH = 150  # cases of one call of hypothesis
_ODD = ((), (0,), (0, 5), (1,), (1, 700), (7, 1), (1009,), (2, 1031), (3, 5, 7), (640,))


@dataclass(frozen=True)
class Case:
    """A world, recipes about it, and where folds are cut."""

    world: World
    recipes: tuple[str, ...]
    strip: int
    kind: Kind = "run"


@dataclass
class Tally:
    """What was tried."""

    cases: int = 0
    ways: int = 0
    tensors: int = 0
    kills: int = 0
    refused: int = 0
    words: Counter[str] = field(default_factory=Counter)
    methods: Counter[str] = field(default_factory=Counter)


class DifferenceError(AssertionError):
    """Bytes that are not those of the plain way."""


def families() -> st.SearchStrategy[Family]:
    """Families of any dtypes, with some odd shapes."""
    mixed = st.tuples(*[st.sampled_from(["bfloat16", "float32", "float16", "float64"])] * 4)
    equal = st.sampled_from(["bfloat16", "float32"]).map(lambda dtype: (dtype,) * len(MODELS))
    return st.builds(
        Family,
        odd=st.lists(st.sampled_from(_ODD), max_size=3).map(tuple),
        dtypes=st.one_of(equal, equal, mixed),
        seed=st.integers(0, 100),
        is_coarse=st.booleans(),
        has_experts=st.booleans(),
        is_tied=st.booleans(),
        agrees=st.booleans(),
    )


def worlds() -> st.SearchStrategy[World]:
    """Models of every kind."""
    small = st.builds(Family, seed=st.integers(0, 20), dtypes=st.just(("float32",) * len(MODELS)))
    return st.one_of(
        families().map(synthetic),
        families().map(synthetic),
        st.builds(demo),
        small.map(adapted),
        small.map(adapters),
        small.map(quantised),
        small.map(tokens),
    )


def cases() -> st.SearchStrategy[Case]:
    """Merges, and now and then experts put together, or an adapter extracted."""
    return st.integers(0, 9).flatmap(lambda n: {0: _mixtures(), 1: _extractions()}.get(n, merges()))


@st.composite
def _mixtures(draw: st.DrawFn) -> Case:
    world = dense(draw(st.integers(0, 9)))
    return Case(world, (draw(mixtures(world)),), draw(st.sampled_from(_STRIPS)), "moe")


@st.composite
def _extractions(draw: st.DrawFn) -> Case:
    world = synthetic(draw(families()))
    pair = f"{draw(st.sampled_from(world.models))} {world.base}"
    return Case(world, (pair,), draw(st.sampled_from(_STRIPS)), "extract-lora")


@st.composite
def merges(draw: st.DrawFn) -> Case:
    """One to three recipes over one world."""
    world = draw(worlds())
    chosen = draw(st.lists(recipes(world), min_size=1, max_size=3))
    strip = draw(st.sampled_from(_STRIPS))
    least = 8192 if world.name == "demo" else 1  # whose tensors are larger
    return Case(world, tuple(chosen), max(strip, least))


class Bench:
    """Where cases are tried."""

    def __init__(self, folder: Path, nurseries: Sequence[Nursery] = ()) -> None:
        self.folder = folder
        self.nurseries = nurseries
        self.tally = Tally()

    def attempt(self, case: Case, others: Sequence[Way]) -> None:
        """Do a case in every way; raises DifferenceError at the first other byte."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        case.world.write(self.folder / "one", 1)
        if any(way.files > 1 for way in others):
            case.world.write(self.folder / "many", FILES)
        plain = self._plain(case)
        if plain is None:
            return
        self.tally.cases += 1
        self.tally.methods.update(each for text in case.recipes for each in methods_of(text))
        for number, way in enumerate(others):
            self._compare(case, way, plain, self.folder / f"way-{number}")

    def _note_refusal(self, error: MergeGraphError, place: Path) -> None:
        """Count a refusal: whatever was wrong with the case, nothing may look whole."""
        is_late = isinstance(error, RunError)
        self.tally.refused += 1
        self.tally.words["while running" if is_late else "while planning"] += 1
        if place.exists() or (partial_path(place).exists() and not is_late):
            raise DifferenceError(f"{place}: is there, though it was refused: {error}")

    def _plain(self, case: Case) -> list[Content] | None:
        """Every recipe by itself, in the plainest way; None if one of them is refused."""
        found = []
        for job in self._jobs(case, PLAIN, self.folder / "plain"):
            try:
                carry_out(job)
            except MergeGraphError as error:
                self._note_refusal(error, Path(job.out))
                return None
            found += [content_of(each) for each in job.results()]
        return found

    def _compare(self, case: Case, way: Way, plain: list[Content], out: Path) -> None:
        jobs = self._jobs(case, way, out)
        for job in jobs:
            self._do(told_by(way, job), way)
        places = [place for job in jobs for place in job.results()]
        names = [f"r{i}" for i in range(len(case.recipes))]
        by_name = {place.name: content_of(place) for place in places}
        for name, known in zip(names, plain, strict=True):
            differing = known.differences(by_name[name], is_placed_alike=way.is_placed_alike)
            if differing:
                raise DifferenceError(f"{name}: {', '.join(differing[:9])} differ: {way}, {case}")
            self.tally.tensors += len(known.tensors)
        self.tally.ways += 1

    def _jobs(self, case: Case, way: Way, out: Path) -> list[Job]:
        """The jobs of a way: one for each recipe, or one for all."""
        root = spelled(self.folder / ("one" if way.files == 1 else "many"), way.spelling)
        out.mkdir(parents=True)
        if case.kind == "extract-lora":
            pair = tuple(case.recipes[0].replace(ROOT, root).split())
            return [Job(case.kind, pair, str(out / "r0"), strip=case.strip)]
        paths = []
        for i, text in enumerate(case.recipes):
            path = out / f"r{i}.yaml"
            path.write_text(text.replace(ROOT, root))
            paths.append(str(path))
        if way.company == "alone" or len(paths) == 1:
            return [
                Job(case.kind, (path,), str(out / f"r{i}"), strip=case.strip)
                for i, path in enumerate(paths)
            ]
        ordered = paths if way.company == "together" else paths[::-1]
        return [Job(case.kind, tuple(ordered), str(out), strip=case.strip)]

    def _do(self, job: Job, way: Way) -> None:
        """Do a job here or in a child, which may be killed and goes on otherwise."""
        if way.nursery is None:
            carry_out(job)
            return
        nursery = self.nurseries[way.nursery]
        said = str(self.folder / "said")
        for kill in way.kills:
            child = nursery.start(replace(job, said=said))
            if not child.ended(kill.seconds):
                child.kill()
                self.tally.kills += 1
            child.status()
            job = replace(job, threads=kill.threads)
            job = replace(job, memory=memory_for(job, kill.budget))
        child = nursery.start(replace(job, said=said))
        if child.status():
            raise DifferenceError(f"a run failed: {child.words()}: {way}")


def methods_of(text: str) -> list[str]:
    """The methods that a recipe names; what is no merge by what it makes."""
    found = _METHOD.findall(text)
    return found or ["experts put together" if "experts" in text else "an adapter extracted"]


def try_combinations(
    folder: Path,
    *,
    minutes: float,
    seed: int,
    rounds: int | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Tally:
    """Try cases for so long, or so many batches of them."""
    end = monotonic() + 60 * minutes
    with ExitStack() as stack:
        bench = Bench(
            folder, [stack.enter_context(Nursery(each, is_warm=True)) for each in HASH_SEEDS]
        )
        warm_up()
        try_methods(bench, *_OTHERS)
        tell(f"{bench.tally}")
        number = 0
        while monotonic() < end and (rounds is None or number < rounds):
            _try_batch(bench, seed * 1_000_000 + number, end)
            number += 1
            tell(f"{bench.tally}")
    shutil.rmtree(folder, ignore_errors=True)
    return bench.tally


def try_methods(bench: Bench, *others: Way) -> None:
    """Try every bundled method, as it is recommended."""
    family = Family(odd=((40, 33), (2, 1031), (7,), ()), dtypes=("float32",) * len(MODELS))
    world = synthetic(family)
    for method in methods().values():
        bench.attempt(Case(world, (plain_recipe(method, world),), strip=200), others)


def _try_batch(bench: Bench, number: int, end: float) -> None:
    """Some cases, which hypothesis makes smaller if one of them fails."""

    @hypothesis.seed(number)
    @settings(
        max_examples=_BATCH,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
        print_blob=True,
    )
    @given(
        case=cases(),
        others=st.lists(ways(len(bench.nurseries), may_compile=True), min_size=3, max_size=5),
    )
    def attempt(case: Case, others: list[Way]) -> None:
        if monotonic() < end:
            bench.attempt(case, others)

    attempt()
