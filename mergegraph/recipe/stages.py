"""One document of a recipe, made into a stage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mergegraph.errors import Problem, nearest
from mergegraph.methods import Method
from mergegraph.recipe import grammar
from mergegraph.recipe.checking import Checked
from mergegraph.recipe.parameters import ParameterReader
from mergegraph.recipe.source import Document, Path
from mergegraph.recipe.tree import (
    AdapterRank,
    Module,
    Slice,
    Source,
    Stage,
    TokenizerRules,
    TokenRule,
)


class StageReader:
    """Reads one document, gathering what is wrong; `stage` is None if it cannot be one."""

    def __init__(self, document: Document, methods: Mapping[str, Method]) -> None:
        self.document = document
        self.methods = methods
        self.problems = list(document.problems)
        self.notes: list[str] = []
        data = document.data if isinstance(document.data, dict) else {}
        self.name: str | None = data["name"] if isinstance(data.get("name"), str) else None
        self.method = methods.get(str(data.get("merge_method")))
        self.parameters = ParameterReader(document, self.method) if self.method else None
        self.stage = self.read()
        for path in document.keys:
            if path[-1] == grammar.OVERRIDE:
                place = document.place(path, key=True)
                why = "layers are found from names, whatever the architecture"
                self.notes.append(f"{place}: {grammar.OVERRIDE} changes nothing: {why}")

    def read(self) -> Stage | None:
        """The stage of the document."""
        checked = Checked(self.document, self.is_parameter)
        self.problems += checked.problems
        if checked.entry is None:
            return None
        name = self.document.data.get("merge_method")
        if self.method is None and isinstance(name, str):
            fact = f"no merge method '{name}' is installed{nearest(name, self.methods)}"
            self.wrong(("merge_method",), fact, key=False)
        stage = self.built(checked.entry)
        if self.parameters:
            self.problems += self.parameters.problems
            self.notes += self.parameters.notes
        if stage and self.method and self.method.needs_base:
            stage = replace(stage, lacking=self.lacking_base(stage, self.method))
        return stage if checked.is_whole else None

    def is_parameter(self, word: str) -> bool:
        """Whether the method takes a parameter of that name."""
        method = self.method
        return method is not None and (word in method.parameters or word in method.without_effect)

    def rules(self, values: Any, path: Path, *, of_model: bool = False) -> Any:
        """The parameters that are set at a path."""
        at = (*path, "parameters")
        return self.parameters.read(values, at, of_model=of_model) if self.parameters else {}

    def built(self, found: grammar.DocumentEntry) -> Stage | None:
        """The stage; None if it is not clear what it merges."""
        modules = self.modules(found)
        parameters = self.rules(found.parameters, ())
        tokenizer = self.tokenizer(found)
        if not modules:
            return None
        return Stage(
            name=found.name,
            method=found.merge_method,
            modules=modules,
            base=found.base_model,
            parameters=parameters,
            dtype=found.dtype,
            out_dtype=found.out_dtype,
            out=found.out,
            seed=found.seed,
            on_missing=found.on_missing,
            on_vocab=found.on_vocab,
            on_nonfinite=found.on_nonfinite,
            tokenizer=tokenizer,
            chat_template=found.chat_template,
            place=self.document.place(()),
            adapter=self.adapter(found),
            out_place=self.document.place(("out",)),
        )

    def adapter(self, found: grammar.DocumentEntry) -> AdapterRank | None:
        """What is said of the adapter that is to come of it."""
        if found.adapter is None:
            return None
        place = self.document.place(("adapter",), key=True)
        return AdapterRank(found.adapter.rank, found.adapter.energy, place)

    def tokenizer(self, found: grammar.DocumentEntry) -> TokenizerRules | None:
        """What the recipe says of the vocabulary of the result."""
        if found.tokenizer is None:
            place = self.document.place(("tokenizer_source",), key=True)
            source = found.tokenizer_source
            return None if source is None else TokenizerRules(source, (), None, place)
        if found.tokenizer_source is not None:
            self.wrong(("tokenizer",), "give tokenizer or tokenizer_source, not both")
        given = found.tokenizer
        tokens = tuple(self.token(token, each) for token, each in (given.tokens or {}).items())
        place = self.document.place(("tokenizer",), key=True)
        return TokenizerRules(given.source, tokens, given.pad_to_multiple_of, place)

    def token(self, token: str, found: grammar.TokenEntry) -> TokenRule:
        """What the recipe says of one token."""
        source = found.source or {"kind": "default"}
        return TokenRule(
            token=token,
            kind=source["kind"],
            model=source.get("model"),
            other=source.get("token"),
            row=source.get("token_id"),
            force=found.force,
            place=self.document.place(("tokenizer", "tokens", token), key=True),
        )

    def modules(self, found: grammar.DocumentEntry) -> tuple[Module, ...]:
        """The parts that are merged each in its way; none if something is wrong with one."""
        if not self.one_of(found, grammar.WAYS, ()):
            return ()
        if found.depth_upscaling is not None:
            return (self.upscaled(found.depth_upscaling),)
        if found.modules is None:
            return (Module(None, self.slices(found, ()), {}, self.document.place(())),)
        made = []
        for name, each in found.modules.items():
            path = ("modules", name)
            if self.one_of(each, ("models", "slices"), path):
                place = self.document.place(path, key=True)
                prefix = None if name == "default" else name
                rules = self.rules(each.parameters, path)
                made.append(Module(prefix, self.slices(each, path), rules, place))
        return tuple(made) if len(made) == len(found.modules) else ()

    def upscaled(self, found: grammar.UpscalingEntry) -> Module:
        """A model's layers without the last, and once more without the first (arXiv:2312.15166)."""
        path = ("depth_upscaling",)
        rules = self.rules(found.parameters, path, of_model=True)
        place = self.document.place(path, key=True)
        parts = ((0, -found.remove), (found.remove, 0))
        slices = (
            Slice((Source(found.model, part, rules, place),), None, {}, place) for part in parts
        )
        return Module(None, tuple(slices), {}, place)

    def slices(self, found: Any, path: Path) -> tuple[Slice, ...]:
        """Whole models as one slice, or the slices that are given."""
        if found.models is not None:
            at = (*path, "models")
            return (Slice(self.sources(found.models, at), None, {}, self.document.place(at)),)
        return tuple(self.slice(each, (*path, "slices", i)) for i, each in enumerate(found.slices))

    def slice(self, found: grammar.SliceEntry, path: Path) -> Slice:
        """Layers of some sources."""
        if found.residual_weight is not None:
            place = self.document.place((*path, "residual_weight"), key=True)
            self.notes.append(f"{place}: residual_weight changes nothing, in mergekit neither")
        sources = self.sources(found.sources, (*path, "sources"))
        lengths = {each.layers[1] - each.layers[0] for each in sources if each.layers}
        if len(lengths) > 1:
            fact = "the sources of a slice differ in their number of layers"
            self.wrong((*path, "sources"), fact)
        place = self.document.place(path)
        return Slice(sources, found.base_model, self.rules(found.parameters, path), place)

    def sources(self, found: Iterable[Any], path: Path) -> tuple[Source, ...]:
        """Models, or ranges of their layers."""
        made = []
        for i, each in enumerate(found):
            at = (*path, i)
            layers = getattr(each, "layer_range", None)
            if layers is not None and not 0 <= layers[0] < layers[1]:
                fact = (
                    f"layer_range {layers} is empty or negative; it is [first, one after the last]"
                )
                self.wrong((*at, "layer_range"), fact, key=False)
            rules = self.rules(each.parameters, at, of_model=True)
            place = self.document.place((*at, "model"))
            made.append(Source(each.model, tuple(layers) if layers else None, rules, place))
        return tuple(made)

    def one_of(self, found: Any, words: Sequence[str], path: Path) -> bool:
        """Whether one of some keys is given, and no other."""
        given = [word for word in words if getattr(found, word) is not None]
        if len(given) != 1:
            named = f"not {' and '.join(given)}" if given else "none is given"
            self.wrong(path, f"exactly one of {', '.join(words)} is needed, {named}")
        return len(given) == 1

    def lacking_base(self, stage: Stage, method: Method) -> Problem | None:
        """What is wrong if a slice has no base and the method needs one."""
        parts = [part for module in stage.modules for part in module.slices]
        if stage.base is not None or all(part.base is not None for part in parts):
            return None
        place = self.document.place(("merge_method",), key=False)
        return Problem(place, f"{method.name} needs a base_model")

    def wrong(self, path: Path, fact: str, *, key: bool = True) -> None:
        """Note a problem."""
        self.problems.append(Problem(self.document.place(path, key=key), fact))
