"""Start one process, wait for it, and say what it took: as JSON, on standard output.

Run by its path in a small interpreter: what a process has in memory when it starts another counts
towards the peak of the other, so none but a small one may do it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from time import perf_counter


def launch(command: list[str], log: Path) -> dict[str, object]:
    """Run a command, its output to a file; gives its exit status, seconds and bytes."""
    with log.open("wb") as file:
        outputs = [(os.POSIX_SPAWN_DUP2, file.fileno(), stream) for stream in (1, 2)]
        start = perf_counter()
        process = os.posix_spawn(command[0], command, os.environ, file_actions=outputs)
        if hasattr(os, "waitid"):
            os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
        transferred = _transferred(process)
        _, status, usage = os.wait4(process, 0)
        wall = perf_counter() - start
    return {
        "status": os.waitstatus_to_exitcode(status),
        "wall": wall,
        "cpu": usage.ru_utime + usage.ru_stime,
        "peak": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        "read": transferred.get("rchar"),
        "written": transferred.get("wchar"),
    }


def _transferred(process: int) -> dict[str, int]:
    """Bytes that went through calls of read and write, while the ended process is still known."""
    try:
        lines = Path(f"/proc/{process}/io").read_text().splitlines()
    except OSError:
        return {}
    return {name: int(count) for name, count in (line.split(": ") for line in lines)}


if __name__ == "__main__":
    print(json.dumps(launch(sys.argv[2:], Path(sys.argv[1]))))
