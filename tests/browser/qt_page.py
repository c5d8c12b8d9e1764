"""Looks at one page in the engine of Qt, and tells what it found as a line of JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from PySide6.QtCore import QEventLoop, QTimer, QUrl
from PySide6.QtWebEngineCore import QWebEnginePage, QWebEngineUrlRequestInterceptor
from PySide6.QtWebEngineWidgets import QWebEngineView
from PySide6.QtWidgets import QApplication

CHECK = (Path(__file__).parent / "check.js").read_text(encoding="utf-8")
asked = json.loads(sys.argv[1])
errors, requests = [], []


class Watch(QWebEngineUrlRequestInterceptor):
    def interceptRequest(self, info):  # noqa: N802 - Qt's name
        address = info.requestUrl().toString()
        if not address.startswith("blob:") and address != url.toString():
            requests.append(address)


class Page(QWebEnginePage):
    def javaScriptConsoleMessage(self, level, message, line, source):  # noqa: N802 - Qt's name
        if level == QWebEnginePage.JavaScriptConsoleMessageLevel.ErrorMessageLevel:
            errors.append(f"{source}:{line}: {message}")


def waited(milliseconds):
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def told(expression):
    loop, values = QEventLoop(), []

    def take(value):
        values.append(value)
        loop.quit()

    view.page().runJavaScript(expression, take)
    loop.exec()
    return values[0]


app = QApplication(sys.argv[:1])
url = QUrl.fromLocalFile(str(Path(asked["page"]).resolve()))
view, page, watch = QWebEngineView(), Page(), Watch()
view.setPage(page)
page.setUrlRequestInterceptor(watch)
view.resize(asked["width"], 900)
view.show()
loop = QEventLoop()
page.loadFinished.connect(loop.quit)
view.load(url)
loop.exec()
if asked["dark"]:  # where the platform has no colours of its own, the page's switch
    told("document.documentElement.dataset.theme = 'dark'")
told(CHECK)
found = ""
for _ in range(300):
    found = told("window.checked ?? ''")
    if found:
        break
    waited(100)
view.resize(asked["width"], min(8000, int(told("document.documentElement.scrollHeight"))))
waited(700)
view.grab().save(asked["shot"])
print(json.dumps({"errors": errors, "requests": requests, "found": json.loads(found or "{}")}))
