"""What results tell of themselves: manifests and cards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from mergegraph.provenance.ancestry import family_json, family_mermaid, family_of, family_text
from mergegraph.provenance.card import card_text
from mergegraph.provenance.frontmatter import CARD
from mergegraph.provenance.manifest import MANIFEST, parse_manifest
from mergegraph.trust.verification import verify


def manifests() -> Iterator[bytes]:
    """A sound manifest."""
    file = {"name": "model.safetensors", "nbytes": 5, "fingerprint": "f"}
    parent: dict[str, Any] = {
        "model": "org/a",
        "hub": "org/a",
        "commit": "c" * 40,
        "files": [file],
        "card": {"license": "mit", "language": ["en"], "base_model": "org/z"},
        "inputs": [{"model": "org/z", "weights": "w", "methods": ["ties"]}],
    }
    yield json.dumps(
        {
            "format": 2,
            "key": "k",
            "command": "run",
            "recipe": {"file": "r", "text": "merge_method: linear\n"},
            "stage": None,
            "settings": ["seed=1"],
            "seed": 3,
            "device": "cpu",
            "shard_size": "5GB",
            "packages": {"mergegraph": "0.1.0"},
            "methods": {"linear": {"package": "mergegraph", "idea": "mean", "paper": ""}},
            "inputs": [parent],
            "weights": "w",
            "files": {"model.safetensors": 5},
            "sides": {"config.json": "s"},
            "tensors": {
                "w": {"file": "model.safetensors", "dtype": "F32", "shape": [1], "sha256": "h"}
            },
        }
    ).encode()


def read_manifest(folder: Path, data: bytes) -> None:
    """Tell of a result by its manifest, in every way there is."""
    (folder / MANIFEST).write_bytes(data)
    found = parse_manifest(data, MANIFEST)
    told = found.for_others()
    _check_printable(card_text(replace(told, made=replace(told.made, text="")), "name", {}, ()))
    told.text().encode()
    _tell_family(folder)
    verify(folder)


def cards() -> Iterator[bytes]:
    """Sound cards."""
    yield b"---\nlicense: apache-2.0\nbase_model:\n- org/a\n- org/b\nlanguage: en\n---\n# Name\n"
    yield b'---\nbase_model: org/a\ntags: [merge, "x"]\nlicense_name: "n"\n---\n'


def read_card(folder: Path, data: bytes) -> None:
    """Tell what a model was made of by its card."""
    (folder / CARD).write_bytes(data)
    _tell_family(folder)


def _tell_family(folder: Path) -> None:
    family = family_of(folder)
    for tell in (family_text, family_json, family_mermaid):
        _check_printable(tell(family))


def _check_printable(text: str) -> None:
    text.encode()
    for line in text.split("\n"):
        if not line.isprintable():
            raise AssertionError(f"told and cannot be printed: {line[:200]!r}")
