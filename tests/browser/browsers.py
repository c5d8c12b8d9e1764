"""A real browser, whichever is there: Chromium by its pipe, or the engine of Qt."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
CHECK = (HERE / "check.js").read_text(encoding="utf-8")
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SECONDS = 60
# the pipes are to be the browser's descriptors 3 and 4
START = """
import fcntl, os, sys
for own, there in [(fcntl.fcntl(each, fcntl.F_DUPFD, 10), there)
                   for each, there in (({asked}, 3), ({tells}, 4))]:
    os.dup2(own, there)
os.execvp(sys.argv[1], sys.argv[1:])
"""


@dataclass(frozen=True)
class View:
    """How a page is looked at."""

    width: int = 1200
    is_dark: bool = False


@dataclass(frozen=True)
class Seen:
    """What came of looking: errors told on the console, what was asked for, and what was found."""

    errors: list
    requests: list
    found: dict


def any_browser():
    """What looks at pages; None if there is no browser."""
    if os.name == "posix" and (name := next(filter(None, map(shutil.which, NAMES)), None)):
        found = Chromium(name)
        if found.is_there():
            return found
        found.close()
    return Qt() if find_spec("PySide6") else None


class Qt:
    """The engine of Qt, in a process of its own for every page."""

    def look(self, page: Path, view: View, shot: Path) -> Seen:
        asked = {"page": str(page), "width": view.width, "dark": view.is_dark, "shot": str(shot)}
        flags = "--no-sandbox --disable-gpu --disable-dev-shm-usage"
        own = {"QT_QPA_PLATFORM": "offscreen", "QTWEBENGINE_CHROMIUM_FLAGS": flags}
        done = subprocess.run(
            [sys.executable, HERE / "qt_page.py", json.dumps(asked)],
            check=False,
            capture_output=True,
            text=True,
            timeout=2 * SECONDS,
            env={**os.environ, **own},
        )
        lines = [each for each in done.stdout.splitlines() if each.startswith("{")]
        assert lines, done.stderr[-2000:]
        return Seen(**json.loads(lines[-1]))

    def close(self) -> None:
        pass


class Chromium:
    """Chromium or Chrome, spoken to in its own protocol over two pipes."""

    def __init__(self, name: str) -> None:
        self._profile = tempfile.mkdtemp(prefix="mergegraph-browser-")
        asked, self._asks = os.pipe()
        self._told, tells = os.pipe()
        os.set_inheritable(asked, True)
        os.set_inheritable(tells, True)
        switches = ["--headless=new", "--remote-debugging-pipe", "--disable-gpu", "--no-sandbox"]
        switches += ["--hide-scrollbars", "--disable-dev-shm-usage", "--no-first-run"]
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-c", START.format(asked=asked, tells=tells)),
                *(name, *switches, f"--user-data-dir={self._profile}"),
            ],
            pass_fds=(asked, tells),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(asked)
        os.close(tells)
        self._number, self._rest = 0, b""

    def look(self, page: Path, view: View, shot: Path) -> Seen:
        made = self._call("Target.createTarget", {"url": "about:blank"})
        where = {"targetId": made["targetId"]}
        session = self._call("Target.attachToTarget", {**where, "flatten": True})["sessionId"]
        self._events = []

        def call(method, **given):
            return self._call(method, given, session)

        for each in ("Page", "Runtime", "Log", "Network"):
            call(f"{each}.enable")
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if view.is_dark else "light"}]
        call("Emulation.setEmulatedMedia", features=scheme)
        size = {"width": view.width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        call("Emulation.setDeviceMetricsOverride", **size)
        call("Page.navigate", url=page.resolve().as_uri())
        self._until(lambda: call("Runtime.evaluate", expression="document.readyState"), "complete")
        call("Runtime.evaluate", expression=CHECK)
        told = self._until(lambda: call("Runtime.evaluate", expression="window.checked ?? ''"))
        height = call("Page.getLayoutMetrics")["cssContentSize"]["height"]
        call("Emulation.setDeviceMetricsOverride", **{**size, "height": min(12000, int(height))})
        shot.write_bytes(base64.b64decode(call("Page.captureScreenshot")["data"]))
        self._call("Target.closeTarget", where)
        return Seen(list(self._errors()), list(self._requests(page)), json.loads(told))

    def is_there(self):
        """Whether it answers at all: some only tell how they could be installed."""
        try:
            return bool(self._call("Browser.getVersion", {}))
        except (AssertionError, OSError):
            return False

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=SECONDS)
        os.close(self._asks)
        os.close(self._told)
        shutil.rmtree(self._profile, ignore_errors=True)

    def _errors(self):
        for each in self._events:
            given = each["params"]
            if each["method"] == "Runtime.exceptionThrown":
                yield given["exceptionDetails"]["text"]
            elif each["method"] == "Log.entryAdded" and given["entry"]["level"] == "error":
                yield given["entry"]["text"]
            elif each["method"] == "Runtime.consoleAPICalled" and given["type"] == "error":
                yield json.dumps(given["args"])

    def _requests(self, page):
        for each in self._events:
            if each["method"] == "Network.requestWillBeSent":
                address = each["params"]["request"]["url"]
                if address != page.resolve().as_uri() and not address.startswith("blob:"):
                    yield address

    def _until(self, ask, wanted=None):
        """The value of an expression, once there is one."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            value = ask()["result"].get("value")
            if value == wanted if wanted else value:
                return value
            self._call("Browser.getVersion", {})
        raise TimeoutError("the page does not come to an end")

    def _call(self, method, given, session=None):
        self._number += 1
        asked = {"id": self._number, "method": method, "params": given}
        if session:
            asked["sessionId"] = session
        os.write(self._asks, json.dumps(asked).encode() + b"\0")
        while True:
            told = self._next()
            if told.get("id") == self._number:
                assert "error" not in told, told
                return told["result"]
            if "method" in told and hasattr(self, "_events"):
                self._events.append(told)

    def _next(self):
        while b"\0" not in self._rest:
            more = os.read(self._told, 1 << 20)
            assert more, "the browser has ended"
            self._rest += more
        told, _, self._rest = self._rest.partition(b"\0")
        return json.loads(told)
