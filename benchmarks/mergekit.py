"""The environment that mergekit runs in: found, or made from the package index."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
_HOME = ROOT / ".venv-mergekit"
_SCRIPT = "mergekit-yaml"
_VERSIONS = "from importlib.metadata import version as v; print(v('mergekit'), v('torch'))"


class MissingError(Exception):
    """There is no mergekit; the text says why."""


def find_mergekit(given: Path | None) -> Path:
    """The folder of mergekit's commands: the given one, MERGEKIT_BIN's, or one made beside .venv.

    Raises MissingError if it is not there, or cannot be made.
    """
    named = given or os.environ.get("MERGEKIT_BIN")
    if named:
        folder = Path(named).resolve()
        if not (folder / _SCRIPT).exists():
            raise MissingError(f"there is no {_SCRIPT} in {folder}")
        return folder
    if not (_HOME / "bin" / _SCRIPT).exists():
        _make(_HOME)
    return _HOME / "bin"


def versions(folder: Path) -> tuple[str, str]:
    """The versions of mergekit and of its torch."""
    told = subprocess.run(
        [folder / "python", "-c", _VERSIONS], capture_output=True, text=True, check=True
    )
    mergekit, torch = told.stdout.split()
    return mergekit, torch


def _make(home: Path) -> None:
    """Install into an environment of its own: torch as pinned here, the rest as mergekit asks."""
    install = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    _run([sys.executable, "-m", "venv", str(home)])
    _run([*install, "--constraint", str(ROOT / "constraints.txt"), "torch"])
    _run([*install, "mergekit"])


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise MissingError(lines[-1] if lines else f"{command[0]} failed")
