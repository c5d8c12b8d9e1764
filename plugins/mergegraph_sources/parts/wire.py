"""Ranges of files over the Hub's session, resumed where a connection drops."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit

Found = TypeVar("Found")

_PIECE = 2**18
_SECONDS = 30.0  # of waiting before a connection is given up
_LEAST = 2**14  # bytes that must come in that time, and for a try to count as one that went on
_LARGEST_ERROR = 2**16  # bytes of an error's body that are read
_TRIES = 6  # without getting on
_LONGEST_WAIT = 300  # seconds; the Hub counts requests in windows of this length
_TRY_AGAIN = {408, 429, 500, 502, 503, 504}
_MOVED = {400, 401, 403, 404, 410}  # what an address answers whose signature has run out
_PARTIAL, _FIRST_ERROR, _TOO_MANY = 206, 400, 429


class CutError(OSError):
    """A connection that ended before the bytes did."""


class Wire:
    """Reads ranges of addresses; where one leads to another host, that is remembered.

    A server that sends next to nothing for `seconds` is as one that has gone away.
    """

    def __init__(self, *, pause: float = 1.0, seconds: float = _SECONDS) -> None:
        self._pause = pause
        self._seconds = seconds
        self._ends: dict[str, str] = {}

    def read(self, url: str, start: int, stop: int) -> bytes:
        """The bytes from start to stop."""
        return b"".join(self.pieces(url, start, stop))

    def answer(self, url: str, most: int) -> bytes:
        """All that an address has to say; raises ValueError if that is more than `most` bytes."""
        from huggingface_hub.utils import build_hf_headers

        data = bytearray()
        with self._opened(url, build_hf_headers()) as response:
            for piece in self._body(response):
                data += piece
                if len(data) > most:
                    raise ValueError(f"an answer of over {most} bytes")
        return bytes(data)

    def pieces(self, url: str, start: int, stop: int) -> Iterator[bytes]:
        """The same bytes as they come, after a failure from there on; none while it waits."""
        tries = 0
        while start < stop:
            end, began = self._ends.get(url, url), start
            try:
                for piece in self._request(url, end, start, stop):
                    start += len(piece)
                    if start - began >= _LEAST:
                        tries = 0
                    yield piece
                if start < stop:
                    raise CutError(f"ended {stop - start} bytes early")
            except broken() as error:
                tries += 1
                has_moved = end != url and _status(error) in _MOVED
                if tries >= _TRIES or not (has_moved or _may_pass(error)):
                    raise
                self._ends.pop(url, None)
                if not has_moved:
                    yield from _waiting(_wait(error, self._pause * 2 ** (tries - 1)))

    def _request(self, url: str, end: str, start: int, stop: int) -> Iterator[bytes]:
        from huggingface_hub.utils import build_hf_headers

        # a signed address on another host needs no token, and must not be told one
        headers = build_hf_headers(token=None if _host(end) == _host(url) else False)
        headers |= {"Range": f"bytes={start}-{stop - 1}"}
        with self._opened(end, headers) as response:
            if response.status_code != _PARTIAL and start > 0:
                raise ValueError("the server sends whole files only")
            if _host(str(response.url)) != _host(url):
                self._ends[url] = str(response.url)
            yield from _first(stop - start, self._body(response))

    @contextmanager
    def _opened(self, url: str, headers: Mapping[str, str]) -> Iterator[Any]:
        """The answer to a request, if it is none of an error."""
        from huggingface_hub.utils import hf_raise_for_status

        asked = {**headers, "Accept-Encoding": "identity"}
        with _sent(url, asked, self._seconds) as response:
            if response.status_code >= _FIRST_ERROR:
                _keep(response, _first(_LARGEST_ERROR, self._body(response)))
            hf_raise_for_status(response)
            check_way(url, str(response.url))
            yield response

    def _body(self, response: Any) -> Iterator[bytes]:
        """The body as it comes, not decoded: what is small would otherwise come to be large."""
        if hasattr(response, "iter_raw"):
            return _paced(response.iter_raw(), self._seconds)
        return _paced(_by_requests(response), self._seconds)


def check_way(asked: str, came_from: str) -> None:
    """Raises ValueError where a server leads from a line that nobody can change to an open one."""
    if asked.startswith("https:") and not came_from.startswith("https:"):
        raise ValueError("it leads from https to http")


def _by_requests(response: Any) -> Iterator[bytes]:
    """The body as it comes, of the library that the Hub's stood on before."""
    from urllib3.exceptions import HTTPError

    try:
        while piece := response.raw.read1(_PIECE, decode_content=False):
            yield piece
    except HTTPError as error:
        raise CutError(str(error)) from error


def _paced(pieces: Iterator[bytes], seconds: float) -> Iterator[bytes]:
    """The same pieces; raises CutError when waiting for them brings next to nothing."""
    waited, nbytes = 0.0, 0
    while True:
        began = time.monotonic()
        piece = next(pieces, None)
        waited += time.monotonic() - began
        if piece is None:
            return
        nbytes += len(piece)
        yield piece
        if waited > seconds:
            if nbytes < _LEAST:
                raise CutError(f"sent {nbytes} bytes in {waited:.0f} s")
            waited, nbytes = 0.0, 0


def _waiting(seconds: float) -> Iterator[bytes]:
    """Wait, with a sign of life every second to whom it may want to stop."""
    while seconds > 0:
        time.sleep(min(1.0, seconds))
        seconds -= 1.0
        yield b""


def patiently(call: Callable[[], Found], *, tries: int = 3, pause: float = 1.0) -> Found:
    """What a call comes to; it is made again if it fails in a way that may pass."""
    for number in range(1, tries):
        try:
            return call()
        except broken() as error:
            if not _may_pass(error):
                raise
            time.sleep(_wait(error, pause * number))
    return call()


def broken() -> tuple[type[BaseException], ...]:
    """What the Hub's session raises when something goes wrong, whatever library it stands on."""
    from huggingface_hub.errors import HfHubHTTPError

    return (OSError, *(each for each in HfHubHTTPError.__bases__ if each is not OSError))


@contextmanager
def _sent(url: str, headers: Mapping[str, str], seconds: float) -> Iterator[Any]:
    from huggingface_hub.utils import get_session

    session: Any = get_session()
    is_requests = not callable(getattr(session, "stream", None))  # before huggingface_hub 1.0
    if is_requests:
        with session.get(url, headers=headers, timeout=seconds, stream=True) as response:
            yield response
    else:
        with session.stream("GET", url, headers=headers, timeout=seconds) as response:
            yield response


def _first(nbytes: int, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """So many bytes of a body, which is read to its end, so that its connection is used again."""
    for piece in pieces:
        if nbytes <= 0:  # a whole file, of which the beginning was wanted
            return
        yield piece[:nbytes]
        nbytes -= len(piece)


def _keep(response: Any, body: Iterator[bytes]) -> None:
    """Have what an error says at hand, which raising it looks at."""
    response._content = b"".join(body)  # noqa: SLF001 - both libraries call it so
    response._content_consumed = True  # noqa: SLF001


def _host(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _status(error: BaseException) -> int | None:
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def _may_pass(error: BaseException) -> bool:
    from huggingface_hub.errors import OfflineModeIsEnabled

    status = _status(error)
    is_here = isinstance(error, OfflineModeIsEnabled)
    return not is_here and (status is None or status in _TRY_AGAIN)


def _wait(error: BaseException, otherwise: float) -> float:
    """Seconds before another try: what the server asks for, if it does."""
    if _status(error) != _TOO_MANY:
        return min(otherwise, 8.0)
    asked = asked_to_wait(error)
    return min(_LONGEST_WAIT, max(asked, otherwise)) if asked is not None else otherwise


def asked_to_wait(error: BaseException) -> int | None:
    """The seconds that a server asks for, which sends too many requests back."""
    headers = getattr(getattr(error, "response", None), "headers", {})
    after = str(headers.get("Retry-After", ""))
    if after.isdigit():
        return int(after)
    limit = str(headers.get("RateLimit", "")).replace(" ", "")  # "api";r=0;t=55
    parts = dict(part.split("=", 1) for part in limit.split(";") if "=" in part)
    is_out = parts.get("r") == "0" and parts.get("t", "").isdigit()
    return int(parts["t"]) + 1 if is_out else None
