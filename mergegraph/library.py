"""The library: the models that recipes name, each opened once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mergegraph.adapters.folding import folded
from mergegraph.codecs import Codec
from mergegraph.errors import MergeGraphError, nearest, told_of
from mergegraph.files.checkpoint import Checkpoint, adapter_checkpoint_of, checkpoint_of, is_adapter
from mergegraph.files.references import Reference, at_home, exists, is_bare_id, is_hub_id, scheme_of
from mergegraph.files.trees import TREE, LocalTree, Source, Tree
from mergegraph.files.weights import GGUF, KINDS, not_read
from mergegraph.models.decoding import decoded
from mergegraph.models.model import Model, checkpoint_model
from mergegraph.plugins import Plugins
from mergegraph.secrecy import without_secrets

_HUB = "hf"  # the scheme of references without one
_How = Callable[[str, Tree], Checkpoint]
_Place = tuple[Path, tuple[str, ...]]  # the folder of a checkpoint and its files of weights


class Library:
    """Opens what references name: from sources to trees, to checkpoints, and to models."""

    def __init__(self, sources: Mapping[str, Source], codecs: Sequence[Codec] = ()) -> None:
        self._sources = sources
        self._codecs = codecs
        self._opened: dict[tuple[str, _How], Checkpoint] = {}
        self._trees: dict[str, Tree] = {}
        self._places: dict[_Place, Checkpoint] = {}

    @property
    def checkpoints(self) -> Sequence[Checkpoint]:
        """All that were opened; two ways to write one place are one checkpoint."""
        return tuple(self._places.values())

    def shelf(self) -> Shelf:
        """The models of one recipe, by its own names for them."""
        return Shelf(self)

    def checkpoint(self, reference: str) -> Checkpoint:
        """What a reference names, by its headers; raises MergeGraphError if it is not sound."""
        return self._open(reference, checkpoint_of)

    def adapter(self, reference: str) -> Checkpoint:
        """The adapter that a reference names, by its headers."""
        return self._open(reference, adapter_checkpoint_of)

    def _open(self, reference: str, how: _How) -> Checkpoint:
        if (reference, how) not in self._opened:
            try:
                self._opened[reference, how] = how(reference, self.tree(reference))
            except OSError as error:
                at = error.filename or reference
                raise MergeGraphError(f"{at}: cannot be read: {error.strerror}") from error
        found = self._opened[reference, how]
        return self._places.setdefault(place_of(found), found)

    def is_adapter(self, reference: str) -> bool:
        """Whether a reference names an adapter, without a model."""
        try:
            return Reference.parse(reference).adapter is None and is_adapter(self.tree(reference))
        except MergeGraphError:
            return False

    def tree(self, reference: str) -> Tree:
        """The files that a reference names; raises MergeGraphError if there are none."""
        if reference not in self._trees:
            self._trees[reference] = self._find(reference)
        return self._trees[reference]

    def _find(self, reference: str) -> Tree:
        if exists(reference):
            return _on_disk(reference)
        if without_secrets(reference) != reference:
            fact = "references are written into results, so they may hold no token, password or"
            raise MergeGraphError(f"{reference}: {fact} signature; give it by the environment")
        if found := scheme_of(reference):
            scheme, rest = found
            if scheme in self._sources:
                return _opened_by(self._sources[scheme], rest, reference)
            fact = f"no source for '{scheme}:' is installed{nearest(scheme, self._sources)}"
            raise MergeGraphError(f"{reference}: {fact}")
        hint = _beside(reference)
        if not hint and is_hub_id(reference) and _HUB in self._sources:
            return _opened_by(self._sources[_HUB], reference, reference)
        if not hint and _HUB in self._sources and is_bare_id(reference):
            hint = f"; a model of the Hub without an organisation is {_HUB}:{reference}"
        raise MergeGraphError(f"{reference}: no such directory, file or stage{hint}")

    def model(self, checkpoint: Checkpoint) -> Model:
        """A checkpoint's tensors as tasks, quantised ones decoded."""
        return decoded(checkpoint_model(checkpoint), self._codecs, checkpoint.read)


def library_of(plugins: Plugins) -> Library:
    """A library that has opened nothing yet."""
    return Library(plugins.sources, tuple(plugins.codecs.values()))


class Shelf:
    """The models that one recipe names: those it names in two ways are one."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._models: dict[_Place, Model] = {}
        self._with_adapters: dict[tuple[int, _Place], tuple[Model, Model]] = {}

    def model(self, text: str) -> Model:
        """The model of a reference; raises MergeGraphError if there is none."""
        reference = Reference.parse(text)
        if reference.adapter is not None:
            return self.folded(self.model(reference.model), reference.adapter)
        checkpoint = self._library.checkpoint(reference.model)
        place = place_of(checkpoint)
        if place not in self._models:
            self._models[place] = self._library.model(checkpoint.called(reference.model))
        return self._models[place]

    def folded(self, model: Model, adapter: str) -> Model:
        """A model with an adapter folded in; raises MergeGraphError if they do not fit."""
        checkpoint = self._library.adapter(adapter)
        place = (id(model), place_of(checkpoint))
        if place not in self._with_adapters:
            self._with_adapters[place] = model, folded(model, checkpoint.called(adapter))
        return self._with_adapters[place][1]


def place_of(checkpoint: Checkpoint) -> _Place:
    """Where a checkpoint is: its folder, links followed, and its files."""
    return checkpoint.tree.root.resolve(), tuple(sorted(checkpoint.headers))


def _opened_by(source: Source, rest: str, reference: str) -> Tree:
    """What a source finds; its failures are the user's to know of."""
    what = f"{reference}: source {source.scheme}"
    with told_of(what):
        tree = source.open(rest)
        lacks = [name for name in TREE if not hasattr(tree, name)]
    if lacks:
        fact = f"gave {type(tree).__name__}, which is no Tree: it has no {lacks[0]}"
        raise MergeGraphError(f"{what} {fact}")
    return tree


def _on_disk(reference: str) -> LocalTree:
    path = at_home(reference)
    if path.is_dir():
        return LocalTree(path, str(path))
    if path.is_file() and path.suffix in KINDS:
        return LocalTree(path.parent, str(path), path.name)
    if path.suffix == GGUF:
        raise not_read(reference)
    raise MergeGraphError(
        f"{reference}: neither a directory nor a file of weights ({', '.join(KINDS)})"
    )


def _beside(reference: str) -> str:
    """The nearest name of a directory there is, if one is close."""
    try:
        path = at_home(reference)
        beside = [each.as_posix() for each in path.parent.glob("*") if each.is_dir()]
    except (OSError, ValueError):
        return ""
    return nearest(path.as_posix(), beside, only_close=True)
