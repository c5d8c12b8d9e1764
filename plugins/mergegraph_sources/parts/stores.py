"""Object stores through obstore: opened, read by ranges, and their failures in a sentence."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from mergegraph import MergeGraphError, discreet

_PIECE = 2**20
_TRIES = 5
_STATUSES = ("401 Unauthorized", "403 Forbidden")
_REFUSED = (
    "the store refuses it; give credentials by the environment, such as AWS_ACCESS_KEY_ID, "
    "GOOGLE_APPLICATION_CREDENTIALS or AZURE_STORAGE_ACCOUNT_KEY"
)


@dataclass(frozen=True)
class Object:
    """A file in a store, at one version."""

    path: str
    nbytes: int
    version: str

    @classmethod
    def of(cls, told: Any) -> Object:
        """What a store says of a file."""
        version = told.get("e_tag") or told.get("version") or str(told["last_modified"])
        return cls(told["path"], told["size"], version)

    @property
    def options(self) -> dict[str, str]:
        """What has a store refuse to send another version; weak tags say too little for that."""
        return {"if_match": self.version} if self.version.startswith('"') else {}

    def __str__(self) -> str:
        return f"{self.path}:{self.nbytes}:{self.version}"


def open_store(url: str) -> Any:
    """The store of a folder, its credentials taken from the environment."""
    try:
        from obstore.store import from_url
    except ImportError as error:
        raise MergeGraphError(
            f"{url}: object stores are read by obstore, which is not installed; install it with "
            "pip install 'mergegraph[remote]'"
        ) from error
    client: Any = {"timeout": timedelta(minutes=10), "connect_timeout": timedelta(seconds=10)}
    is_allowed = os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("1", "true")
    if url.startswith("http:") or (is_allowed and not url.startswith("https:")):
        client["allow_http"] = True  # which options of ours would otherwise take back
    retries: Any = {"max_retries": 4, "retry_timeout": timedelta(seconds=60)}
    with telling(url):
        return from_url(url, client_options=client, retry_config=retries)


def ranges(store: Any, found: Object, start: int, stop: int) -> Iterator[bytes]:
    """The bytes of a file from start to stop as they come; after a failure, from where it was."""
    import obstore
    from obstore.exceptions import GenericError

    tries = 0
    while start < stop:
        options: Any = {"range": (start, stop), **found.options}
        failure = GenericError("ended early")
        try:
            for piece in obstore.get(store, found.path, options=options).stream(_PIECE):
                data = bytes(piece)
                start += len(data)
                tries = 0
                yield data
        except GenericError as error:
            failure = error
        if start < stop:
            tries += 1
            if tries >= _TRIES:
                raise failure
            yield b""  # a sign of life
            time.sleep(min(8, 2**tries))


@contextmanager
def telling(place: str) -> Iterator[None]:
    """Raise MergeGraphError for what a store raises in the block; its own messages are long."""
    from obstore import exceptions

    try:
        yield
    except FileNotFoundError as error:
        raise MergeGraphError(f"{place}: not there") from discreet(error)
    except exceptions.PreconditionError as error:
        raise MergeGraphError(f"{place}: changed while it was read; run again") from discreet(error)
    except exceptions.NotSupportedError as error:
        raise MergeGraphError(
            f"{place}: the server sends whole files only; download it, and name the directory"
        ) from discreet(error)
    except exceptions.BaseError as error:
        if _is_refused(error):
            raise MergeGraphError(f"{place}: {_REFUSED}") from discreet(error)
        raise MergeGraphError(
            f"{place}: cannot be read ({type(error).__name__}); check the address and the network, "
            "or download it and name the directory"
        ) from discreet(error)


def _is_refused(error: Exception) -> bool:
    """Whether credentials are what is missing; of a list it is the text alone that tells."""
    from obstore import exceptions

    kinds = (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError)
    return isinstance(error, kinds) or any(each in str(error) for each in _STATUSES)
