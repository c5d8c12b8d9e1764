"""A Hub on the loopback interface: its protocol, with the faults that a test asks for."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha1, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Event, Lock, Thread
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

TOKEN = "hf_" + "secret" * 5


class Hollow:
    """A file of any size: some bytes, then zeros that are made when they are sent."""

    def __init__(self, head: bytes, nbytes: int) -> None:
        self.head = head
        self.nbytes = nbytes

    def __len__(self) -> int:
        return self.nbytes

    def __getitem__(self, part: slice) -> bytes:
        start, stop = part.start, min(part.stop, self.nbytes)
        data = self.head[start:stop]
        return data + bytes(stop - start - len(data))


Content = bytes | Hollow


@dataclass
class Repo:
    """A model: what each commit holds, what names commits have, and who may read it."""

    commits: dict[str, dict[str, Content]]
    refs: dict[str, str]
    gated: bool = False
    private: bool = False
    moved_to: str | None = None
    lfs: Callable[[str], bool] = lambda name: name.endswith((".safetensors", ".bin"))


@dataclass(frozen=True)
class Request:
    """What was asked, and what was sent."""

    method: str
    path: str
    range: str | None
    status: int
    sent: int
    token: str | None
    host: str


@dataclass
class Fault:
    """Something that goes wrong with requests whose path holds some text, some times."""

    where: str
    times: int = 1
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_after: int | None = None  # bytes, then the connection drops
    method: str = "GET"


class Hub:
    """The server, its models, and what it was asked."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.faults: list[Fault] = []
        self.token = TOKEN
        self.pace = 0.0  # seconds for each 256 KiB
        self.answers: dict[str, bytes] = {}  # by what a path holds, in place of what is true
        self.headers: dict[str, str] = {}  # in place of those that belong to an answer
        self.drips = ""  # what the paths hold of answers that come byte by byte
        self.endless, self.endless_status, self.poured = "", 200, 0
        self.is_paused = Event()  # once some of them are waited for
        self.signature = 0  # of addresses on the other host; older ones are refused
        self.lock = Lock()
        self.answered = Condition(self.lock)
        self.answering = 0
        self._requests: list[Request] = []
        handler = type("Handler", (_Handler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def add(
        self, name: str, files: Mapping[str, Content], *, ref: str = "main", **kind: Any
    ) -> str:
        """Add a commit to a model; gives its hash."""
        repo = self.repos.setdefault(name, Repo({}, {}))
        for key, value in kind.items():
            setattr(repo, key, value)
        told = repr([(n, _digest(files[n])) for n in sorted(files)])
        commit = sha1(f"{name}{told}".encode()).hexdigest()
        repo.commits[commit] = dict(files)
        repo.refs[ref] = commit
        return commit

    @property
    def requests(self) -> list[Request]:
        """What was asked so far; a client may have its answer before it is noted."""
        with self.answered:
            self.answered.wait_for(lambda: self.answering == 0, timeout=10)
            return list(self._requests)

    @property
    def sent(self) -> int:
        """Bytes of bodies sent."""
        return sum(each.sent for each in self.requests)

    def forget(self) -> None:
        with self.answered:
            self.answered.wait_for(lambda: self.answering == 0, timeout=10)
            self._requests.clear()

    def gets(self, text: str = "") -> list[Request]:
        return [r for r in self.requests if r.method == "GET" and text in r.path]


@cache
def _digest(content: Content) -> str:
    if isinstance(content, Hollow):
        return sha256(content.head + str(content.nbytes).encode()).hexdigest()
    return sha256(content).hexdigest()


def _git(content: Content) -> str:
    data = content[0 : len(content)]
    return sha1(b"blob %d\0" % len(data) + data).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"
    timeout = 20

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        with self.hub.answered:
            self.hub.answering += 1
        try:
            self.answer()
        finally:
            with self.hub.answered:
                self.hub.answering -= 1
                self.hub.answered.notify_all()

    # -- requests ----------------------------------------------------------------------------

    def answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        fault = self.fault(path)
        if fault is not None and fault.status is not None:
            self.send(fault.status, b"", fault.headers)
        elif self.hub.endless and self.hub.endless in path:
            self.pour()
        elif found := next((text for text in self.hub.answers if text in path), None):
            self.send(200, self.hub.answers[found], {"Content-Type": "application/json"})
        elif path.startswith("/cdn/"):
            self.from_cdn(path, fault)
        elif match := re.fullmatch(
            r"/api/models/([^/]+(?:/[^/]+)?)/(revision|refs)(?:/(.+))?", path
        ):
            self.about(match[1], match[2], match[3])
        elif match := re.fullmatch(r"/([^/]+(?:/[^/]+)?)/resolve/([^/]+)/(.+)", path):
            self.resolve(*match.groups(), fault)
        else:
            self.refuse(404, "", "no such page")

    def pour(self) -> None:
        """Answer without end."""
        self.send_response(self.hub.endless_status)
        self.end_headers()
        self.close_connection = True
        piece = b" " * 2**18
        try:
            while self.hub.poured < 2**30:
                self.wfile.write(piece)
                self.hub.poured += len(piece)
        except OSError:
            return

    def fault(self, path: str) -> Fault | None:
        with self.hub.lock:
            for each in self.hub.faults:
                if each.where in path and each.method == self.command and each.times > 0:
                    each.times -= 1
                    return each
        return None

    def about(self, name: str, what: str, revision: str | None) -> None:
        repo = self.repo(name)
        if repo is None:
            return
        if repo.moved_to is not None:
            target = self.path.replace(name, repo.moved_to, 1)
            self.send(307, b"", {"Location": target})
        elif what == "refs":
            branches = [
                {"name": n, "ref": f"refs/heads/{n}", "targetCommit": c}
                for n, c in repo.refs.items()
            ]
            self.json({"branches": branches, "tags": [], "converts": []})
        elif commit := self.commit(repo, str(revision)):
            files = [self.sibling(repo, n, c) for n, c in repo.commits[commit].items()]
            self.json(
                {
                    "_id": "1",
                    "id": name,
                    "modelId": name,
                    "sha": commit,
                    "private": repo.private,
                    "gated": "auto" if repo.gated else False,
                    "siblings": files,
                }
            )

    def sibling(self, repo: Repo, name: str, content: Content) -> dict[str, Any]:
        if "blobs" not in parse_qs(urlsplit(self.path).query):
            return {"rfilename": name}
        told: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": "0" * 40}
        if repo.lfs(name):
            digest = _digest(content)
            told["lfs"] = {"size": len(content), "sha256": digest, "pointerSize": 130}
        else:
            told["blobId"] = _git(content)
        return told

    def resolve(self, name: str, revision: str, file: str, fault: Fault | None) -> None:
        repo = self.repo(name)
        commit = repo and self.commit(repo, revision)
        if repo is None or not commit:
            return
        if repo.gated and not self.is_known:
            self.refuse(401, "GatedRepo", f"Access to model {name} is restricted.")
            return
        content = repo.commits[commit].get(file)
        about = {"X-Repo-Commit": commit}
        if content is None:
            self.refuse(404, "EntryNotFound", "Entry not found", about)
        elif repo.lfs(file):
            digest = _digest(content)
            far = f"http://localhost:{self.hub.port}/cdn/{name}/{commit}/{quote(file)}"
            location = f"{far}?signature={self.hub.signature}"
            linked = {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(content))}
            self.send(302, b"", {**about, **linked, "Location": location})
        else:
            self.content(content, {**about, "ETag": f'"{_git(content)}"'}, fault)

    def from_cdn(self, path: str, fault: Fault | None) -> None:
        given = parse_qs(urlsplit(self.path).query).get("signature", [""])[0]
        if given != str(self.hub.signature):
            self.send(403, b"expired", {})
            return
        match = re.fullmatch(r"/cdn/(.+?)/([0-9a-f]{40})/(.+)", path)
        assert match
        content = self.hub.repos[match[1]].commits[match[2]][match[3]]
        self.content(content, {"ETag": f'"{_digest(content)}"'}, fault)

    # -- what they come to -------------------------------------------------------------------

    @property
    def is_known(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {self.hub.token}"

    def repo(self, name: str) -> Repo | None:
        repo = self.hub.repos.get(name)
        given = self.headers.get("Authorization")
        if given is not None and not self.is_known:
            self.refuse(401, "", "Invalid credentials in Authorization header")
        elif repo is None or (repo.private and not self.is_known):
            self.refuse(404 if self.is_known else 401, "RepoNotFound", "Repository not found")
        else:
            return repo
        return None

    def commit(self, repo: Repo, revision: str) -> str | None:
        commit = repo.refs.get(revision, revision)
        if commit in repo.commits:
            return commit
        self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return None

    def refuse(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        given = {"X-Error-Code": code} if code else {}
        body = json.dumps({"error": message}).encode()
        self.send(status, body, {**given, "X-Error-Message": message, **(headers or {})})

    def json(self, found: Any) -> None:
        self.send(200, json.dumps(found).encode(), {"Content-Type": "application/json"})

    def content(self, content: Content, headers: Mapping[str, str], fault: Fault | None) -> None:
        start, stop, status = 0, len(content), 200
        headers = {**headers, "Accept-Ranges": "bytes"}
        if match := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or ""):
            start, status = int(match[1]), 206
            stop = min(stop, int(match[2]) + 1 if match[2] else stop)
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(content)}"
        self.send(status, content, headers, start, stop, fault.cut_after if fault else None)

    def send(
        self,
        status: int,
        content: Content,
        headers: Mapping[str, str],
        start: int = 0,
        stop: int | None = None,
        cut_after: int | None = None,
    ) -> None:
        stop = len(content) if stop is None else stop
        self.send_response(status)
        self.send_header("Content-Length", str(stop - start))
        for name, value in {**headers, **self.hub.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        end = stop if cut_after is None else min(stop, start + cut_after)
        sent = self.write(content, start, end) if self.command == "GET" else 0
        self.note(status, sent)
        if end < stop:
            self.wfile.flush()
            self.close_connection = True

    def write(self, content: Content, start: int, stop: int) -> int:
        if self.hub.drips and self.hub.drips in self.path:
            return self.drip(content[start:stop])
        for at in range(start, stop, 2**18):
            if self.hub.pace and stop - start > 2**18:
                self.hub.is_paused.set()
                time.sleep(self.hub.pace)
            try:
                self.wfile.write(content[at : min(at + 2**18, stop)])
            except OSError:
                return at - start
        return stop - start

    def drip(self, data: bytes) -> int:
        """Send a byte now and then."""
        for at in range(len(data)):
            try:
                self.wfile.write(data[at : at + 1])
            except OSError:
                return at
            time.sleep(0.05)
        return len(data)

    def note(self, status: int, sent: int) -> None:
        token = self.headers.get("Authorization")
        told = Request(
            self.command,
            unquote(self.path),
            self.headers.get("Range"),
            status,
            sent,
            token,
            self.headers.get("Host", ""),
        )
        with self.hub.lock:
            self.hub._requests.append(told)
