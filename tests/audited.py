"""Commands one after another in this process, with what they do to the machine written down.

Called with the path of a JSON file: `{"commands": [[...], ...], "told": PATH}`.
"""

# paths of pathlib would raise events of their own
# ruff: noqa: PTH100, PTH109, PTH115, PTH118
from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

_NETWORK = ("socket.", "http.client.", "urllib.", "ftplib.", "smtplib.")
_PROGRAMS = ("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn")
# events that name places which are changed: where in their arguments these stand, and the
# directories that they are relative to
_CHANGES = {
    "os.mkdir": ((0, 2),),
    "os.rename": ((0, 2), (1, 3)),
    "os.remove": ((0, 1),),
    "os.rmdir": ((0, 1),),
    "os.symlink": ((1, 2),),
    "os.link": ((1, 3),),
    "os.truncate": ((0, None),),
    "os.chmod": ((0, 2),),
}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

seen = {"network": [], "programs": [], "written": [], "executed": []}


def _hook(event, arguments):
    if event.startswith(_NETWORK):
        seen["network"].append(f"{event} {arguments[1:]!r}")
    elif event.startswith(_PROGRAMS):
        seen["programs"].append(f"{event} {arguments!r}")
    elif event == "open":
        path, mode, flags = arguments
        is_writing = set(mode or "") & set("wax+") or (flags or 0) & _WRITING
        if is_writing and not isinstance(path, int):
            seen["written"].append(os.path.abspath(os.fsdecode(path)))
    elif event in _CHANGES:
        seen["written"] += [_place(arguments, *each) for each in _CHANGES[event]]
    elif event == "exec":
        seen["executed"].append(getattr(arguments[0], "co_filename", "?"))


def _place(arguments, path, folder):
    given = arguments[path]
    if isinstance(given, int):  # a file that is open already
        return os.readlink(f"/proc/self/fd/{given}")
    beside = -1 if folder is None else arguments[folder]
    start = os.getcwd() if beside == -1 else os.readlink(f"/proc/self/fd/{beside}")
    return os.path.normpath(os.path.join(start, os.fsdecode(given)))


def _run(command):
    from mergegraph.cli import main

    try:
        main(command)
    except SystemExit as end:
        return end.code or 0
    return 0


if __name__ == "__main__":
    tempfile.gettempdir()  # Python tries once where it may write, for whoever asks first
    asked = json.loads(Path(sys.argv[1]).read_text())
    sys.addaudithook(_hook)
    statuses = [_run(command) for command in asked["commands"]]
    told = {name: list(dict.fromkeys(found)) for name, found in seen.items()}
    told |= {"statuses": statuses, "modules": sorted(sys.modules)}
    Path(asked["told"]).write_text(json.dumps(told))
