"""Finding installed plugins, and what came of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import Distribution, entry_points
from types import MappingProxyType
from typing import Any

import pluggy

from mergegraph import hookspecs
from mergegraph.codecs import Codec
from mergegraph.errors import MergeGraphError, Problem, ProblemsError
from mergegraph.evaluators import Evaluator
from mergegraph.files.trees import Source
from mergegraph.methods import Method

_METHODS, _SOURCES, _CODECS = "merge_methods", "model_sources", "tensor_codecs"
_EVALUATORS = "evaluators"

# what each hook offers: of which type, by which of its words it is known, and what it is called
_OFFERED: dict[str, tuple[type[Any], str, str]] = {
    _METHODS: (Method, "name", "method"),
    _SOURCES: (Source, "scheme", "source"),
    _CODECS: (Codec, "name", "codec"),
    _EVALUATORS: (Evaluator, "name", "evaluator"),
}

_MADE_WITH = {Method: "was not made with @method", Evaluator: "was not made with @evaluator"}


@dataclass(frozen=True)
class Plugins:
    """What all installed packages offer, and the packages that could not be loaded.

    `packages` has the package of each method, `evaluator_packages` that of each evaluator,
    `readers` are those that read models.
    """

    methods: Mapping[str, Method]
    sources: Mapping[str, Source]
    codecs: Mapping[str, Codec]
    evaluators: Mapping[str, Evaluator]
    packages: Mapping[str, str]
    evaluator_packages: Mapping[str, str]
    broken: tuple[str, ...]
    readers: tuple[str, ...]

    def package(self, method: str) -> str:
        """The package, with its version, that a method came from."""
        return self.packages[method]


def installed_plugins() -> Plugins:
    """Load every entry point of the group; a broken one is reported, not fatal.

    Raises ProblemsError if two packages offer methods of one name.
    """
    offers: list[tuple[str, Any]] = []
    broken = []
    named = cache(_named)  # reading a package's metadata takes longer than loading a method
    for entry in sorted(entry_points(group=hookspecs.GROUP), key=lambda each: each.name):
        package = named(entry.dist) if entry.dist else entry.value
        try:
            offers.append((package, entry.load()))
        except Exception as error:  # noqa: BLE001 - the code of a stranger's package
            broken.append(_broken(package, entry.name, error))
    return collect(offers, broken)


def collect(offers: Iterable[tuple[str, Any]], broken: Iterable[str] = ()) -> Plugins:
    """What loaded plugins offer, each given with the name of its package."""
    found: dict[str, dict[str, Any]] = {hook: {} for hook in _OFFERED}
    packages: dict[tuple[str, str], str] = {}
    failures = list(broken)
    problems = []
    for package, plugin in offers:
        try:
            offered = list(_offered_by(plugin))
        except Exception as error:  # noqa: BLE001 - the code of a stranger's package
            failures.append(_broken(package, getattr(plugin, "__name__", "plugin"), error))
            continue
        for hook, name, each in offered:
            if name in found[hook]:
                fact = _offered_twice(packages[hook, name], package)
                problems.append(Problem(f"{_OFFERED[hook][2]} {name}", fact))
            found[hook][name] = each
            packages[hook, name] = package
    if problems:
        raise ProblemsError(problems)
    in_order = {hook: MappingProxyType(dict(sorted(found[hook].items()))) for hook in _OFFERED}
    by_hook: dict[str, dict[str, str]] = {hook: {} for hook in _OFFERED}
    for (hook, name), package in packages.items():
        by_hook[hook][name] = package
    readers = {*by_hook[_SOURCES].values(), *by_hook[_CODECS].values()}
    return Plugins(
        methods=in_order[_METHODS],
        sources=in_order[_SOURCES],
        codecs=in_order[_CODECS],
        evaluators=in_order[_EVALUATORS],
        packages=MappingProxyType(by_hook[_METHODS]),
        evaluator_packages=MappingProxyType(by_hook[_EVALUATORS]),
        broken=tuple(failures),
        readers=tuple(sorted(readers)),
    )


def _offered_by(plugin: Any) -> Iterator[tuple[str, str, Any]]:
    """What one plugin offers, by hook and by name."""
    manager = pluggy.PluginManager(hookspecs.GROUP)
    manager.add_hookspecs(hookspecs)
    manager.register(plugin)
    manager.check_pending()
    offers = {hook: getattr(manager.hook, hook)() for hook in _OFFERED}
    if not any(offers.values()):
        fact = "offers nothing: it needs a merge_methods, marked @hookimpl, that returns a list"
        raise MergeGraphError(fact)
    for hook, (kind, word, _) in _OFFERED.items():
        for each in (each for given in offers[hook] for each in given):
            if not isinstance(each, kind):
                made = _MADE_WITH.get(kind, f"is no {kind.__name__}")
                raise MergeGraphError(f"{hook} gave {each!r}, which {made}")
            yield hook, getattr(each, word), each


def _offered_twice(first: str, second: str) -> str:
    if first == second:
        return f"offered twice by {first}; its author must rename one"
    return f"offered by both {first} and {second}; uninstall one"


def _named(package: Distribution) -> str:
    return f"{package.name} {package.version}"


def _broken(package: str, name: str, error: Exception) -> str:
    return f"plugin '{name}' of {package} could not be loaded: {type(error).__name__}: {error}"
