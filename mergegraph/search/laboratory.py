"""The laboratory: merges are made and examined, many at once, and none of them twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from time import monotonic

from mergegraph.errors import MergeGraphError, in_a_line
from mergegraph.evaluators import Candidate, Scores
from mergegraph.families import Family
from mergegraph.library import Library, library_of
from mergegraph.machine import sized
from mergegraph.plugins import Plugins
from mergegraph.running.families import look
from mergegraph.search.candidates import InMemory, OnDisk, WrittenError, examined
from mergegraph.search.compiling import Asked, Compiled, Compiler
from mergegraph.search.examining import Examination
from mergegraph.search.making import Maker, write
from mergegraph.settings import Settings
from mergegraph.writing.found import partial_path

_CANDIDATES = ".candidates-"
_ON_DISK = 4  # candidates that are written with one reading of their models, at the least

_Make = Callable[[Sequence["Compiled"]], Sequence[AbstractContextManager[Candidate]]]
OnScored = Callable[[int, "Outcome"], None]


@dataclass(frozen=True)
class Outcome:
    """What came of a recipe: its scores, or the problem for which there are none.

    Those of equal results, examined alike, have one `key`, and only the first is examined.
    """

    scores: Scores | None
    problem: str | None
    key: str
    is_repeated: bool = False
    seconds: float = 0.0


class Laboratory:
    """Scores of recipes, from a first word to a last one: a context manager.

    Nobody else has one with that `scratch`.
    `known` are scores that are known by the key of an outcome. What the user should know is told to
    `say`, once. Candidates that do not fit the memory budget are written to a folder in `scratch`,
    and deleted once they are examined.
    """

    def __init__(
        self,
        plugins: Plugins,
        settings: Settings,
        *,
        scratch: Path,
        parallel: int = 1,
        known: Mapping[str, Scores] | None = None,
        say: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self._plugins = plugins
        self._settings = replace(settings, memory=settings.budget)
        self._parallel = parallel
        self._known: dict[str, Outcome] = {
            key: Outcome(scores, None, key, is_repeated=True)
            for key, scores in (known or {}).items()
        }
        self._say = say
        self._told: set[str] = set()
        self._compiler = Compiler(plugins, self._settings)
        self._maker = Maker(self._compiler.library, self._settings)
        self._root = scratch
        self._stack = ExitStack()
        self._folder = scratch
        self._looked: set[Family] = set()
        self._places = count()

    def __enter__(self) -> Laboratory:
        self._root.mkdir(parents=True, exist_ok=True)
        clear_candidates(self._root)
        folder = TemporaryDirectory(prefix=_CANDIDATES, dir=self._root)
        self._folder = Path(self._stack.enter_context(folder))
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    def scores(
        self,
        asked: Sequence[Asked],
        examination: Examination,
        on_scored: OnScored = lambda _number, _outcome: None,
    ) -> list[Outcome]:
        """What comes of each recipe; `on_scored` is told of each as soon as it is known."""
        outcomes: dict[int, Outcome] = {}

        def note(number: int, outcome: Outcome) -> None:
            outcomes[number] = outcome
            on_scored(number, outcome)

        first: dict[str, int] = {}
        others: list[tuple[int, str]] = []
        compiled: dict[int, Compiled] = {}
        for number, each in enumerate(asked):
            try:
                made = self._compiler.compile(each, self._folder / str(next(self._places)))
            except MergeGraphError as error:
                note(number, Outcome(None, in_a_line(error), ""))
                continue
            key = _key(examination, made)
            if key in self._known:
                note(number, replace(self._known[key], is_repeated=True, seconds=0.0))
            elif first.setdefault(key, number) == number:
                compiled[number] = made
            else:
                others.append((number, key))
        self._tell(compiled.values())
        for number, outcome in self._examined(compiled, examination):
            self._known[outcome.key] = outcome
            note(number, outcome)
        for number, key in others:
            note(number, replace(self._known[key], is_repeated=True, seconds=0.0))
        return [outcomes[number] for number in range(len(asked))]

    def score(self, reference: str, examination: Examination) -> Outcome:
        """What comes of a model that is there."""
        try:
            model = self._on_disk(reference, self._compiler.library)
        except MergeGraphError as error:
            return Outcome(None, in_a_line(error), "")
        with ThreadPoolExecutor(1) as pool:  # in a thread with as many cores as candidates have
            return pool.submit(self._outcome, model, examination).result()

    def _examined(
        self, compiled: Mapping[int, Compiled], examination: Examination
    ) -> Iterator[tuple[int, Outcome]]:
        """Make candidates and examine them, batch by batch, each batch in any order."""
        numbers = {id(each): number for number, each in compiled.items()}
        in_memory = [each for each in compiled.values() if self._maker.fits(each)]
        on_disk = [each for each in compiled.values() if not self._maker.fits(each)]
        if on_disk:
            self._once(
                f"a candidate has {sized(on_disk[0].nbytes)}: more than fits --memory "
                f"{sized(self._settings.budget)}, so candidates are written to disk to be examined"
            )
        step = max(self._parallel, _ON_DISK)
        batches = [
            *((batch, self._in_memory) for batch in self._maker.batches(in_memory)),
            *((on_disk[at : at + step], self._written) for at in range(0, len(on_disk), step)),
        ]
        for batch, make in batches:
            for each, outcome in self._of_batch(batch, make, examination):
                yield numbers[id(each)], replace(outcome, key=_key(examination, each))

    def _of_batch(
        self,
        batch: Sequence[Compiled],
        make: _Make,
        examination: Examination,
    ) -> Iterator[tuple[Compiled, Outcome]]:
        """The outcomes of a batch; where it cannot be made, those of its halves."""
        try:
            candidates = make(batch)
        except MergeGraphError as error:
            if len(batch) == 1:
                place, name = str(batch[0].directory.path), batch[0].asked.name
                yield batch[0], Outcome(None, in_a_line(error).replace(place, name), "")
                return
            middle = len(batch) // 2
            for half in (batch[:middle], batch[middle:]):
                yield from self._of_batch(half, make, examination)
            return
        self._look(batch)
        with ThreadPoolExecutor(self._parallel) as pool:
            futures: dict[Future[Outcome], Compiled] = {
                pool.submit(self._outcome, candidate, examination): each
                for each, candidate in zip(batch, candidates, strict=True)
            }
            for future in as_completed(futures):
                yield futures[future], future.result()

    def _in_memory(self, batch: Sequence[Compiled]) -> list[AbstractContextManager[Candidate]]:
        """Candidates whose tensors are in memory."""
        return [
            InMemory(
                each.asked.name,
                tensors,
                each.directory.config,
                each.directory.sides,
                scratch=self._folder,
            )
            for each, tensors in zip(batch, self._maker.make(batch), strict=True)
        ]

    def _written(self, batch: Sequence[Compiled]) -> list[AbstractContextManager[Candidate]]:
        """Candidates that are written, until they are examined; of a batch that fails nothing."""
        try:
            write(batch, self._compiler.library, self._plugins, self._settings)
        except MergeGraphError:
            for each in batch:
                rmtree(each.directory.path, ignore_errors=True)
                rmtree(partial_path(each.directory.path), ignore_errors=True)
            raise
        return [self._until_examined(each) for each in batch]

    @contextmanager
    def _until_examined(self, compiled: Compiled) -> Iterator[Candidate]:
        path = compiled.directory.path
        try:
            # a library of its own, so that nobody takes candidates for inputs of the next ones
            with self._on_disk(str(path), library_of(self._plugins), compiled.asked.name) as model:
                yield model
        finally:
            rmtree(path, ignore_errors=True)

    def _on_disk(self, reference: str, library: Library, name: str | None = None) -> OnDisk:
        return OnDisk(reference, library, self._settings, name=name, scratch=self._folder)

    def _outcome(
        self, opened: AbstractContextManager[Candidate], examination: Examination
    ) -> Outcome:
        """What a candidate is worth; its files are gone then."""
        import torch

        torch.get_num_threads()  # a thread that never asked has what others set last
        torch.set_num_threads(max(1, self._settings.workers // self._parallel))
        began = monotonic()
        try:
            with opened as candidate:
                return Outcome(
                    examined(candidate, examination), None, "", seconds=monotonic() - began
                )
        except WrittenError:  # tensors that candidates share are no longer what they are called
            raise
        except MergeGraphError as error:
            return Outcome(None, in_a_line(error), "", seconds=monotonic() - began)

    def _tell(self, compiled: Iterable[Compiled]) -> None:
        """Say what is to be known of the recipes."""
        for each in compiled:
            for note in each.plan.notes:
                self._once(note)

    def _look(self, made: Iterable[Compiled]) -> None:
        """Say what is strange about the models that candidates are made of, once they are there."""
        families = (replace(family, place="models") for each in made for family in each.families)
        new = [each for each in dict.fromkeys(families) if each not in self._looked]
        self._looked.update(new)
        for found in look(new, budget=self._settings.budget, threads=self._settings.workers):
            self._once(f"warning: {found}")

    def _once(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._say(line)


def clear_candidates(scratch: Path) -> None:
    """Take away candidates that a search has left which was killed."""
    for left in scratch.glob(f"{_CANDIDATES}*"):
        rmtree(left, ignore_errors=True)


def _key(examination: Examination, compiled: Compiled) -> str:
    """What is equal for equal results that are examined alike."""
    return f"{examination.digest}:{compiled.key}"
