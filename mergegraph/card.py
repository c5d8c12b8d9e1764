"""What is told of a result: its manifest, and its model card."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from mergegraph.checkpoint import Checkpoint
from mergegraph.fingerprint import fingerprint
from mergegraph.plans import Directory
from mergegraph.shards import Shard

FORMAT = 1
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


@dataclass(frozen=True)
class Provenance:
    """Where a result comes from, besides its recipe."""

    packages: Mapping[str, str]
    methods: Mapping[str, str]
    settings: Sequence[str]


def manifest_text(
    directory: Directory,
    shards: Sequence[Shard],
    digests: Mapping[str, str],
    provenance: Provenance,
) -> str:
    """The manifest: everything that is needed to check a result, or to make it again."""
    found = {
        "format": FORMAT,
        "key": directory.key,
        "recipe": {"file": directory.origin.name, "text": directory.origin.text},
        "settings": list(provenance.settings),
        "stage": directory.origin.stage,
        "seed": directory.seed,
        "packages": dict(provenance.packages),
        "methods": dict(provenance.methods),
        "inputs": [_input(each) for each in directory.parents],
        "files": {shard.file: shard.nbytes for shard in shards},
        "tensors": {
            name: _tensor(shard, name, digests[name]) for shard in shards for name in shard.slots
        },
    }
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def card_text(directory: Directory, provenance: Provenance) -> str:
    """The model card: the parents, the recipe, and how to make the result again."""
    origin = directory.origin
    parents = [each.reference for each in directory.parents]
    front = ["base_model:", *(f"- {json.dumps(name)}" for name in parents)]
    front += ["base_model_relation: merge", "library_name: transformers", "tags:"]
    front += ["- mergegraph", "- merge", *(f"- {method}" for method in origin.methods)]
    made_of = "\n".join(f"- `{name}`" for name in parents)
    seed = f" --seed {directory.seed}" if directory.seed else ""
    settings = "".join(f" --set {json.dumps(each)}" for each in provenance.settings)
    versions = ", ".join(f"{name} {found}" for name, found in provenance.packages.items())
    return f"""---
{chr(10).join(front)}
---
# {directory.path.name}

A merge of

{made_of}

by {", ".join(origin.methods)}, made with mergegraph.

## Recipe

```yaml
{origin.text.rstrip()}
```

## How to make it again

Save the recipe as `{origin.name}.yaml` and run

```sh
mergegraph {origin.command} {origin.name}.yaml --out {directory.path.name}{seed}{settings}
```

The same inputs give the same bytes: `mergegraph.json` holds the SHA-256 of every tensor, and
`mergegraph verify` compares them. Made with {versions}.
"""


def _input(checkpoint: Checkpoint) -> dict[str, Any]:
    files = [
        {
            "name": name,
            "nbytes": header.nbytes,
            "fingerprint": fingerprint(checkpoint.tree, name, header),
        }
        for name, header in checkpoint.headers.items()
    ]
    at = {} if checkpoint.tree.is_local else {"at": checkpoint.tree.label}
    return {"model": checkpoint.reference, **at, "files": files}


def _tensor(shard: Shard, name: str, digest: str) -> dict[str, Any]:
    spec = shard.slots[name].spec
    return {"file": shard.file, "dtype": spec.dtype, "shape": list(spec.shape), "sha256": digest}
