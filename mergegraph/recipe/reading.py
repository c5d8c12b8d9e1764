"""Reading recipe files: every problem of the text found, each with its place."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from mergegraph.errors import MergeGraphError, Problem, nearest
from mergegraph.methods import Method
from mergegraph.recipe import grammar
from mergegraph.recipe.parameters import ParameterReader
from mergegraph.recipe.source import Document, Path, read_documents, scalar
from mergegraph.recipe.tree import Module, Recipe, Slice, Source, Stage

LARGEST = 10_000_000


def read_recipe(file: str, methods: Mapping[str, Method], settings: Sequence[str] = ()) -> Recipe:
    """Read a recipe file; `settings` are `KEY=VALUE` changes to its result document.

    What is wrong with the text is in the recipe's `problems`; raises MergeGraphError only if
    there is no YAML to speak of.
    """
    try:
        if FilePath(file).stat().st_size > LARGEST:
            raise MergeGraphError(f"{file}: too large for a recipe")
        text = FilePath(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise MergeGraphError(f"{file}: cannot be read: {reason}") from error
    return parse_recipe(file, text, methods, settings)


def parse_recipe(
    file: str, text: str, methods: Mapping[str, Method], settings: Sequence[str] = ()
) -> Recipe:
    """The recipe that a text holds; see `read_recipe`."""
    documents = read_documents(file, text)
    if not documents:
        raise MergeGraphError(f"{file}: holds no recipe")
    readers = [_DocumentReader(document, methods) for document in documents]
    for setting in settings:
        _apply(setting, documents)
    stages = [reader.stage() for reader in readers]
    problems = [problem for reader in readers for problem in reader.problems]
    whole = [stage for stage in stages if stage is not None]
    problems += _problems_between(whole, complete=len(whole) == len(stages))
    return Recipe(
        file=file,
        text=text,
        stages=tuple(whole),
        result=_result(whole),
        notes=tuple(note for reader in readers for note in reader.notes),
        problems=tuple(problems),
    )


def _apply(setting: str, documents: Sequence[Document]) -> None:
    key, given, value = setting.partition("=")
    stage, named, dotted = key.rpartition(":")
    chosen = [
        d for d in documents if isinstance(d.data, dict) and d.data.get("name") == (stage or None)
    ]
    target = chosen[0] if chosen else None if named else documents[-1]
    if not given or not dotted or target is None:
        raise MergeGraphError(
            f"--set {setting}: write KEY=VALUE, or STAGE:KEY=VALUE for a named stage"
        )
    path = tuple(int(step) if step.isdigit() else step for step in dotted.split("."))
    try:
        target.set(path, scalar(value))
    except (KeyError, IndexError, TypeError) as error:
        raise MergeGraphError(f"--set {setting}: the recipe has no such place") from error


def _result(stages: Sequence[Stage]) -> Stage | None:
    """The unnamed stage, or else the last."""
    unnamed = [stage for stage in stages if stage.name is None]
    return unnamed[0] if unnamed else stages[-1] if stages else None


class _DocumentReader:
    """Reads one document into a stage, gathering what is wrong."""

    def __init__(self, document: Document, methods: Mapping[str, Method]) -> None:
        self.document = document
        self.methods = methods
        self.problems = document.problems
        self.notes: list[str] = []

    def stage(self) -> Stage | None:
        found = self.validated()
        if found is None:
            return None
        method = self.method(found.merge_method)
        parameters = ParameterReader(self.document, method) if method else None
        stage = self.built(found, parameters)
        if parameters:
            self.problems += parameters.problems
            self.notes += parameters.notes
        if stage and method and method.needs_base:
            self.check_base(stage, method)
        return stage

    def validated(self) -> grammar.DocumentEntry | None:
        """The document by the grammar; what does not fit is reported and left out."""
        if not isinstance(self.document.data, dict):
            self.wrong((), "a recipe is a mapping: merge_method, models, ...")
            return None
        data = copy.deepcopy(self.document.data)
        for _ in range(2):
            try:
                return grammar.DocumentEntry.model_validate(data)
            except ValidationError as error:
                for each in error.errors():
                    path = self.reported(each)
                    _drop(data, path)
        return None

    def reported(self, error: Any) -> Path:
        path: Path = error["loc"]
        if error["type"] == "extra_forbidden":
            self.wrong(path, f"unknown key '{path[-1]}'{self.remedy(path)}")
        elif error["type"] == "missing":
            self.wrong(path[:-1], f"'{path[-1]}' is missing")
        else:
            fact = error["msg"].replace("Value error, ", "")
            self.wrong(path, f"{'.'.join(map(str, path))}: {fact[0].lower()}{fact[1:]}", key=False)
        return path

    def remedy(self, path: Path) -> str:
        word = str(path[-1])
        method = self.methods.get(str(self.document.data.get("merge_method")))
        if method and (word in method.parameters or word in method.without_effect):
            return "; it is a parameter, put it under 'parameters'"
        holders = [grammar.ENTRIES[str(step)] for step in path[:-1] if step in grammar.ENTRIES]
        entry = holders[-1] if holders else grammar.DocumentEntry
        return nearest(word, entry.model_fields)

    def method(self, name: str) -> Method | None:
        if name not in self.methods:
            fact = f"no merge method '{name}' is installed{nearest(name, self.methods)}"
            self.wrong(("merge_method",), fact, key=False)
        return self.methods.get(name)

    def built(
        self, found: grammar.DocumentEntry, parameters: ParameterReader | None
    ) -> Stage | None:
        def read(values: Any, path: Path, *, of_model: bool = False) -> Any:
            path = (*path, "parameters")
            return parameters.read(values, path, of_model=of_model) if parameters else {}

        modules = self.modules(found, read)
        if modules is None:
            return None
        return Stage(
            name=found.name,
            method=found.merge_method,
            modules=modules,
            base=found.base_model,
            parameters=read(found.parameters, ()),
            dtype=found.dtype,
            out_dtype=found.out_dtype,
            out=found.out,
            seed=found.seed,
            on_missing=found.on_missing,
            on_vocab=found.on_vocab,
            on_nonfinite=found.on_nonfinite,
            tokenizer_source=self.tokenizer(found),
            chat_template=found.chat_template,
            place=self.document.place(()),
        )

    def tokenizer(self, found: grammar.DocumentEntry) -> str | None:
        if found.tokenizer is None:
            return found.tokenizer_source
        if found.tokenizer_source is not None:
            self.wrong(("tokenizer",), "give tokenizer or tokenizer_source, not both")
        for key in found.tokenizer.keys() - {"source"}:
            known = "" if key in ("tokens", "pad_to_multiple_of") else nearest(key, ["source"])
            self.wrong(("tokenizer", key), f"tokenizer rule '{key}' is not supported{known}")
        return str(found.tokenizer.get("source", "union"))

    def modules(self, found: grammar.DocumentEntry, read: Any) -> tuple[Module, ...] | None:
        if not self.one_of(found, ("models", "slices", "modules"), ()):
            return None
        if found.modules is None:
            return (Module(None, self.slices(found, (), read), {}, self.document.place(())),)
        made = []
        for name, each in found.modules.items():
            path = ("modules", name)
            if self.one_of(each, ("models", "slices"), path):
                rules = read(each.parameters, path)
                place = self.document.place(path, key=True)
                prefix = None if name == "default" else name
                made.append(Module(prefix, self.slices(each, path, read), rules, place))
        return tuple(made) or None

    def slices(self, found: Any, path: Path, read: Any) -> tuple[Slice, ...]:
        if found.models is not None:
            at = (*path, "models")
            return (Slice(self.sources(found.models, at, read), None, {}, self.document.place(at)),)
        return tuple(
            self.slice(each, (*path, "slices", i), read) for i, each in enumerate(found.slices)
        )

    def slice(self, found: grammar.SliceEntry, path: Path, read: Any) -> Slice:
        if found.residual_weight is not None:
            place = self.document.place((*path, "residual_weight"), key=True)
            self.notes.append(f"{place}: residual_weight changes nothing, in mergekit neither")
        sources = self.sources(found.sources, (*path, "sources"), read)
        if len({source.layers[1] - source.layers[0] for source in sources if source.layers}) > 1:
            self.wrong(
                (*path, "sources"), "the sources of a slice differ in their number of layers"
            )
        place = self.document.place(path)
        return Slice(sources, found.base_model, read(found.parameters, path), place)

    def sources(self, found: Iterable[Any], path: Path, read: Any) -> tuple[Source, ...]:
        made = []
        for i, each in enumerate(found):
            at = (*path, i)
            layers = getattr(each, "layer_range", None)
            if layers is not None and not 0 <= layers[0] < layers[1]:
                fact = (
                    f"layer_range {layers} is empty or negative; it is [first, one after the last]"
                )
                self.wrong((*at, "layer_range"), fact, key=False)
            rules = read(each.parameters, at, of_model=True)
            place = self.document.place((*at, "model"), key=False)
            made.append(Source(each.model, tuple(layers) if layers else None, rules, place))
        return tuple(made)

    def one_of(self, found: Any, words: Sequence[str], path: Path) -> bool:
        given = [word for word in words if getattr(found, word) is not None]
        if len(given) != 1:
            named = f"not {' and '.join(given)}" if given else "none is given"
            self.wrong(path, f"exactly one of {', '.join(words)} is needed, {named}")
        return len(given) == 1

    def check_base(self, stage: Stage, method: Method) -> None:
        for module in stage.modules:
            for part in module.slices:
                if stage.base is None and part.base is None:
                    fact = f"{method.name} needs a base_model"
                    self.problems.append(Problem(self.document.place(("merge_method",)), fact))
                    return

    def wrong(self, path: Path, fact: str, *, key: bool = True) -> None:
        self.problems.append(Problem(self.document.place(path, key=key), fact))


def _drop(data: Any, path: Path) -> None:
    """Take out what a problem was reported of, so that the rest can be looked at."""
    try:
        for step in path[:-1]:
            data = data[step]
        del data[path[-1]]
    except (KeyError, IndexError, TypeError):
        pass


def _problems_between(stages: Sequence[Stage], *, complete: bool) -> list[Problem]:
    problems = []
    named: dict[str, Stage] = {}
    for stage in stages:
        if stage.name in named:
            problems.append(Problem(stage.place, f"two stages are named '{stage.name}'"))
        if stage.name is not None:
            named.setdefault(stage.name, stage)
    unnamed = [stage for stage in stages if stage.name is None]
    problems += [
        Problem(stage.place, "only one document may be without a name") for stage in unnamed[1:]
    ]
    problems += _cycles(named)
    if complete:
        used = {model for stage in stages for model, _ in stage.models()}
        problems += [
            Problem(
                stage.place, f"nobody uses stage '{stage.name}'; use it, give it 'out', or drop it"
            )
            for stage in stages
            if stage is not _result(stages)
            and stage.name
            and stage.name not in used
            and not stage.out
        ]
    return problems


def _cycles(named: Mapping[str, Stage]) -> list[Problem]:
    """Stages that stand on themselves."""
    problems = []
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            circle = " → ".join((*above[above.index(name) :], name))
            problems.append(Problem(named[name].place, f"stages go in a circle: {circle}"))
        elif name not in done:
            for model, _ in named[name].models():
                if model in named:
                    visit(model, (*above, name))
            done.add(name)

    for name in named:
        visit(name, ())
    return problems
