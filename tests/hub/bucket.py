"""A bucket on the loopback interface: files by ranges, listed for those who speak as S3 does."""

from __future__ import annotations

import re
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

_DATE = "Sat, 01 Nov 2025 00:00:00 GMT"


class Bucket:
    """The server, its files by path, and what was asked of it."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.requests: list[tuple[str, str, str | None]] = []
        self.sent = 0
        self.cut_after: list[int] = []  # for each of the next answers, bytes until it drops
        self.knows_ranges = True
        self.is_closed_to_all = False
        handler = type("Handler", (_Handler,), {"bucket": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self.server.server_address[1]}"
        Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class _Handler(BaseHTTPRequestHandler):
    bucket: Bucket
    protocol_version = "HTTP/1.1"
    timeout = 20

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        path, asked = unquote(parts.path).lstrip("/"), parse_qs(parts.query)
        self.bucket.requests.append((self.command, path, self.headers.get("Range")))
        if self.bucket.is_closed_to_all:
            self.send(403, b"")
        elif "list-type" in asked:
            self.send(200, self.listing(path.strip("/"), asked.get("prefix", [""])[0]))
        elif path in self.bucket.files:
            self.file(self.bucket.files[path])
        else:
            self.send(404, b"")

    def listing(self, bucket: str, prefix: str) -> bytes:
        found = "".join(
            f"<Contents><Key>{escape(path.removeprefix(f'{bucket}/'))}</Key><Size>{len(data)}</Size>"
            f"<LastModified>2025-11-01T00:00:00.000Z</LastModified><ETag>{_tag(data)}</ETag></Contents>"
            for path, data in self.bucket.files.items()
            if path.startswith(f"{bucket}/{prefix}")
        )
        return (
            f"<ListBucketResult><IsTruncated>false</IsTruncated>{found}</ListBucketResult>".encode()
        )

    def file(self, data: bytes) -> None:
        tag = _tag(data)
        if self.headers.get("If-Match", tag) != tag:
            self.send(412, b"")
            return
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range") or "")
        if match is None or not self.bucket.knows_ranges:
            self.send(200, data, {"ETag": tag})
            return
        start, stop = int(match[1]), min(int(match[2]) + 1, len(data))
        told = f"bytes {start}-{stop - 1}/{len(data)}"
        self.send(206, data[start:stop], {"ETag": tag, "Content-Range": told})

    def send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        given = {"Content-Length": str(len(body)), "Last-Modified": _DATE, **(headers or {})}
        for name, value in given.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        cut = self.bucket.cut_after.pop(0) if self.bucket.cut_after else len(body)
        self.bucket.sent += min(cut, len(body))  # before the client can have it all
        self.wfile.write(body[:cut])
        self.close_connection = cut < len(body)


def _tag(data: bytes) -> str:
    return f'"{md5(data).hexdigest()}"'
