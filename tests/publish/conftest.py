"""A server that speaks as much of the Hub's protocol as pushing a model takes."""

from __future__ import annotations

import base64
import json
import re
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

TOKEN = "hf_a-token-for-the-loopback-only"


class Uploads:
    """Repositories by name, each a mapping of branches to files; and what was asked for."""

    def __init__(self):
        self.repositories = {}
        self.visibility = {}
        self.objects = {}  # large files by their SHA-256
        self.commits = []
        self.puts = []
        self.requests = []
        self.breaks_after = None  # number of large files
        self.signature = ""  # of the addresses that large files go to

    def files(self, name, revision="main"):
        return self.repositories[name][revision]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    @property
    def state(self):
        return self.server.state

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def answer(self, data, status=200):
        text = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def is_known(self):
        """Whether the token is right; large files go to addresses that need none."""
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def address(self, path):
        return f"http://127.0.0.1:{self.server.server_port}{path}"

    def do_GET(self):
        path = self.path.partition("?")[0]
        self.state.requests.append(("GET", path))
        if found := re.fullmatch(r"/api/models/(\w+/[\w.-]+)/tree/([^/]+)", path):
            files = self.state.repositories.get(found[1], {}).get(found[2])
            if files is None:
                return self.answer({"error": "not found"}, 404)
            tree = [
                {"type": "file", "path": name, "size": len(data), "oid": "0" * 40}
                for name, data in files.items()
            ]
            return self.answer(tree)
        return self.answer({"error": "not found"}, 404)

    def do_PUT(self):
        data = self.body()
        oid = self.path.partition("?")[0].rpartition("/")[2]
        if self.state.breaks_after is not None and len(self.state.puts) >= self.state.breaks_after:
            return self.answer({"error": "broken"}, 403)
        assert sha256(data).hexdigest() == oid
        self.state.objects[oid] = data
        self.state.puts.append(oid)
        return self.answer({})

    def do_POST(self):  # noqa: PLR0911 - an address each
        path = self.path.partition("?")[0]
        body = self.body()
        self.state.requests.append(("POST", path))
        if path == "/api/validate-yaml":
            return self.answer({"errors": [], "warnings": []})
        if not self.is_known():
            return self.answer({"error": "Invalid username or password."}, 401)
        if path == "/api/repos/create":
            return self.create(json.loads(body))
        if found := re.fullmatch(r"/api/models/(\w+/[\w.-]+)/branch/([^/]+)", path):
            branches = self.state.repositories[found[1]]
            branches.setdefault(found[2], dict(branches["main"]))
            return self.answer({})
        if re.fullmatch(r"/api/models/(\w+/[\w.-]+)/preupload/([^/]+)", path):
            files = [
                {
                    "path": each["path"],
                    "uploadMode": "lfs" if each["path"].endswith(".safetensors") else "regular",
                    "shouldIgnore": False,
                }
                for each in json.loads(body)["files"]
            ]
            return self.answer({"files": files})
        if path.endswith(".git/info/lfs/objects/batch"):
            return self.answer({"objects": [self.action(o) for o in json.loads(body)["objects"]]})
        if found := re.fullmatch(r"/api/models/(\w+/[\w.-]+)/commit/([^/]+)", path):
            return self.commit(found[1], found[2], body)
        return self.answer({"error": "not found"}, 404)

    def create(self, wanted):
        name = f"{wanted['organization']}/{wanted['name']}"
        if name in self.state.repositories:
            return self.answer({"error": "exists", "url": self.address(f"/{name}")}, 409)
        self.state.repositories[name] = {"main": {".gitattributes": b""}}
        self.state.visibility[name] = wanted.get("visibility") or (
            "private" if wanted.get("private") else None
        )
        return self.answer({"url": self.address(f"/{name}"), "name": name})

    def action(self, wanted):
        if wanted["oid"] in self.state.objects:
            return wanted
        place = self.address(f"/lfs/{wanted['oid']}?{self.state.signature}".rstrip("?"))
        return {**wanted, "actions": {"upload": {"href": place}}}

    def commit(self, name, revision, body):
        lines = [json.loads(line) for line in body.splitlines()]
        is_proposed = "create_pr=1" in self.path
        files = dict(self.state.files(name, revision))
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.state.objects[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        self.state.commits.append((lines[0]["value"]["summary"], revision, is_proposed))
        self.state.repositories[name]["refs/pr/1" if is_proposed else revision] = files
        answer = {"commitUrl": self.address(f"/{name}/commit/1"), "commitOid": "1" * 40}
        if is_proposed:
            answer["pullRequestUrl"] = self.address(f"/{name}/discussions/1")
        return self.answer(answer)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """The Hub, as far as pushing sees it, and a token for it."""
    from huggingface_hub import constants

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.state = Uploads()
    server.daemon_threads = True
    address = f"http://127.0.0.1:{server.server_port}"
    for name, value in (("ENDPOINT", address), ("HF_HUB_DISABLE_XET", True)):
        monkeypatch.setattr(constants, name, value)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    Thread(target=server.serve_forever, daemon=True).start()
    yield server.state
    server.shutdown()
    server.server_close()


@pytest.fixture
def token():
    """What must never be seen."""
    return TOKEN
