"""The folder of a search: the names of its files, each written as a whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from mergegraph.secrecy import without_secrets

RECORD = "search.json"
BEST = "best.yaml"
MODEL = "model"


def write_text(path: Path, text: str) -> None:
    """Write a file so that it is there as a whole or as it was; secrets are taken out."""
    text = without_secrets(text)
    if path.is_file() and path.read_bytes() == text.encode():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
