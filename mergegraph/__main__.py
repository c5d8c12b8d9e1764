"""`python -m mergegraph` and `mergegraph`: the command line as a process."""

from __future__ import annotations

import os
import sys

from mergegraph.interruption import Interruption

# from where they were stopped
_CONTINUING = (["run"], ["evolve"], ["breed"], ["moe"], ["extract-lora"], ["push"])


def main() -> None:
    """Run the command line; signals are heard before anything large is imported."""
    _open_streams()
    continues = sys.argv[1:2] in _CONTINUING
    with Interruption(sys.argv[1:], continues=continues) as interruption:
        from mergegraph.cli import main as command_line

        command_line(interruption=interruption)


def _open_streams() -> None:
    """Let no file of ours have the number of a stream that is closed: others may write to it."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:  # noqa: PLR2004 - of stderr
        pass
    os.close(number)


if __name__ == "__main__":
    main()
