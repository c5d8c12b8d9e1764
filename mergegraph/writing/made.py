"""Provenance: the manifest of a result that has just been made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version

from mergegraph.plans import Directory
from mergegraph.plugins import Plugins
from mergegraph.provenance.ancestry import ancestor_of
from mergegraph.provenance.manifest import Made, Manifest, Stored, Used
from mergegraph.settings import Settings
from mergegraph.writing.shards import Shard

_PACKAGES = ("mergegraph", "torch", "numpy", "safetensors", "networkx")


def package_versions() -> dict[str, str]:
    """The versions of the packages that results depend on."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed as a package"
    return found


def manifest_of(
    directory: Directory,
    shards: Sequence[Shard],
    digests: Mapping[str, str],
    settings: Settings,
    plugins: Plugins,
) -> Manifest:
    """What is to be told of a result, but for the files beside its weights."""
    origin = directory.origin
    made = Made(
        recipe=origin.name,
        text=origin.text,
        stage=origin.stage,
        command=origin.command,
        settings=settings.overrides,
        seed=settings.seed,
        device="cuda" if settings.is_on_device else "cpu",
        shard_size=str(settings.shard_size),
    )
    told = Manifest(
        key=directory.key,
        made=made,
        packages=package_versions(),
        methods={name: _used(plugins, name) for name in origin.methods},
        inputs=tuple(ancestor_of(each) for each in directory.parents),
        files={shard.file: shard.nbytes for shard in shards},
        tensors={
            name: Stored(shard.file, slot.spec.dtype, slot.spec.shape, digests[name])
            for shard in shards
            for name, slot in shard.slots.items()
        },
    )
    return told.discreet()


def _used(plugins: Plugins, name: str) -> Used:
    method = plugins.methods.get(name)
    if method is None:  # of a command that is no merge
        return Used(f"mergegraph {version('mergegraph')}")
    idea = method.doc.strip().partition("\n")[0].strip()
    return Used(plugins.package(name), idea, method.paper)
