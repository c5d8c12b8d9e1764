"""Finding installed plugins, and what came of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any

import pluggy

from mergegraph import hookspecs
from mergegraph.errors import MergeGraphError, Problem, ProblemsError
from mergegraph.methods import Method


@dataclass(frozen=True)
class Plugins:
    """The merge methods of all installed packages, and the packages that could not be loaded."""

    methods: Mapping[str, Method]
    packages: Mapping[str, str]
    broken: tuple[str, ...]

    def package(self, method: str) -> str:
        """The package, with its version, that a method came from."""
        return self.packages[method]


def installed_plugins() -> Plugins:
    """Load every entry point of the group; a broken one is reported, not fatal.

    Raises ProblemsError if two packages offer methods of one name.
    """
    offers: list[tuple[str, Any]] = []
    broken = []
    for entry in sorted(entry_points(group=hookspecs.GROUP), key=lambda each: each.name):
        try:
            offers.append((_package(entry), entry.load()))
        except Exception as error:  # noqa: BLE001 - the code of a stranger's package
            broken.append(_broken(_package(entry), entry.name, error))
    return collect(offers, broken)


def collect(offers: Iterable[tuple[str, Any]], broken: Iterable[str] = ()) -> Plugins:
    """The methods of loaded plugins, each given with the name of its package."""
    methods: dict[str, Method] = {}
    packages: dict[str, str] = {}
    failures = list(broken)
    problems = []
    for package, plugin in offers:
        try:
            found = _methods_of(plugin)
        except Exception as error:  # noqa: BLE001 - the code of a stranger's package
            failures.append(_broken(package, getattr(plugin, "__name__", "plugin"), error))
            continue
        for each in found:
            if each.name in methods:
                fact = _offered_twice(packages[each.name], package)
                problems.append(Problem(f"method {each.name}", fact))
            methods[each.name] = each
            packages[each.name] = package
    if problems:
        raise ProblemsError(problems)
    return Plugins(
        MappingProxyType(dict(sorted(methods.items()))), MappingProxyType(packages), tuple(failures)
    )


def _methods_of(plugin: Any) -> list[Method]:
    manager = pluggy.PluginManager(hookspecs.GROUP)
    manager.add_hookspecs(hookspecs)
    manager.register(plugin)
    manager.check_pending()
    offered = manager.hook.merge_methods()
    if not offered:
        fact = "offers nothing: it needs a merge_methods, marked @hookimpl, that returns a list"
        raise MergeGraphError(fact)
    found = [each for methods in offered for each in methods]
    for each in found:
        if not isinstance(each, Method):
            raise MergeGraphError(f"merge_methods gave {each!r}, which was not made with @method")
    return found


def _offered_twice(first: str, second: str) -> str:
    if first == second:
        return f"offered twice by {first}; its author must rename one"
    return f"offered by both {first} and {second}; uninstall one"


def _package(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value


def _broken(package: str, name: str, error: Exception) -> str:
    return f"plugin '{name}' of {package} could not be loaded: {type(error).__name__}: {error}"
