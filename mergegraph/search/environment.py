"""The environment of a search: the packages and the device that its scores depend on."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

from mergegraph.plugins import Plugins
from mergegraph.preparing import identity_of
from mergegraph.recipe import Recipe
from mergegraph.search.journal import Bond
from mergegraph.settings import Settings


def environment_of(
    recipes: Iterable[Recipe],
    plugins: Plugins,
    settings: Settings,
    *,
    others: Iterable[str] = (),
) -> Bond:
    """What a search that goes on has in common with itself: as of a plan, and other packages."""
    known = {line for each in recipes for line in identity_of(plugins, each).splitlines()}
    told = sorted(known | {_told(name) for name in others})
    packages = {f"the package {name}": of for name, _, of in (line.partition(" ") for line in told)}
    return {"the device": "cuda" if settings.is_on_device else "cpu", **packages}


def _told(package: str) -> str:
    """A package with its version."""
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"{package} not installed as a package"
