"""What went wrong with the Hub, in a sentence."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

from mergegraph import MergeGraphError, discreet
from mergegraph_sources.parts.wire import asked_to_wait, broken

_BUSY = 500

# what the library calls an error, and what is to be said of it; the first that fits is taken
_FACTS = {
    "GatedRepoError": "gated; accept its terms at {endpoint}/{repository}, and {login}",
    "RepositoryNotFoundError": (
        "no such model at {endpoint}; check the name, and if it is private, {login}"
    ),
    "RevisionNotFoundError": "has no revision '{revision}'{nearest}",
    "EntryNotFoundError": (
        "{endpoint} lists a file that it does not have; is the model just being changed?"
    ),
    "OfflineModeIsEnabled": (
        "not in the Hub's cache, and HF_HUB_OFFLINE is set; unset it, or name a directory"
    ),
}
_FACTS_OF_STATUS = {
    401: "the token is not valid; log in anew (hf auth login), or unset HF_TOKEN",
    403: "{endpoint} forbids it: the token may not read {repository}, or it is disabled",
    429: "{endpoint} has had too many requests; run again {when}, or {login}",
}
_FACT_OF_SERVER = "{endpoint} fails (status {status}); run again later, or name a directory"
_FACT_OF_STRANGER = "{endpoint} answers with status {status}; is it a Hub? see HF_ENDPOINT"
_FACT_OF_NETWORK = (
    "{endpoint} cannot be reached ({kind}); name a directory, or set HF_HUB_OFFLINE=1 to use what "
    "the Hub's cache holds"
)
_FACT_OF_DISK = "the disk of the Hub's cache is full; make room, or set HF_HOME to another disk"


@contextmanager
def told(reference: str, repository: str, endpoint: str, revision: str = "") -> Iterator[None]:
    """Raise MergeGraphError for what the Hub's library raises in the block.

    Its own messages are left out: they are long, and name addresses that are signed.
    """
    from huggingface_hub.errors import HFValidationError

    try:
        yield
    except HFValidationError as error:
        raise MergeGraphError(f"{reference}: not the id of a model on the Hub") from discreet(error)
    except broken() as error:
        fact = _fact(_cause(error), repository, endpoint, revision)
        raise MergeGraphError(f"{reference}: {fact}") from discreet(error)
    except (ValueError, RecursionError) as error:
        raise MergeGraphError(
            f"{reference}: {endpoint} does not speak as the Hub does"
        ) from discreet(error)


def _cause(error: BaseException) -> BaseException:
    """What is behind an error that says no more than that a file is not in the cache either."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    is_vague = isinstance(error, LocalEntryNotFoundError) and error.__cause__ is not None
    return error.__cause__ or error if is_vague else error


def _fact(error: BaseException, repository: str, endpoint: str, revision: str) -> str:
    seconds = asked_to_wait(error)
    return _form(error).format(
        repository=repository,
        endpoint=endpoint,
        revision=revision,
        login=_login(),
        nearest=_nearest(repository, endpoint, revision) if _is_lost(error) else "",
        when=f"in {seconds} s" if seconds is not None else "later",
        status=_status(error),
        kind=type(error).__name__,
        place=getattr(error, "filename", None),
        fact=getattr(error, "strerror", None),
    )


def _form(error: BaseException) -> str:
    """The sentence for an error, with blanks."""
    from huggingface_hub import errors

    for name, form in _FACTS.items():
        if isinstance(error, getattr(errors, name)):
            return form
    status = _status(error)
    if status is not None:
        otherwise = _FACT_OF_SERVER if status >= _BUSY else _FACT_OF_STRANGER
        return _FACTS_OF_STATUS.get(status, otherwise)
    if getattr(error, "errno", None) == errno.ENOSPC:
        return _FACT_OF_DISK
    return "{place}: {fact}" if getattr(error, "filename", None) else _FACT_OF_NETWORK


def _is_lost(error: BaseException) -> bool:
    from huggingface_hub.errors import RevisionNotFoundError

    return isinstance(error, RevisionNotFoundError)


def _status(error: BaseException) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)


def _login() -> str:
    from huggingface_hub import get_token

    if get_token():
        return "use the token of an account that may read it"
    return "log in (hf auth login) or set HF_TOKEN"


def _nearest(repository: str, endpoint: str, revision: str) -> str:
    names = _revisions(repository, endpoint)
    close = get_close_matches(revision, names, n=1)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; there are {', '.join(names[:8])}" if names else "; name a branch, a tag or a commit"


def _revisions(repository: str, endpoint: str) -> Sequence[str]:
    """The branches and tags of a model; none if the Hub does not say."""
    from huggingface_hub import HfApi

    failures = broken()
    try:
        refs: Any = HfApi(endpoint=endpoint).list_repo_refs(repository)
    except failures:
        return ()
    return [each.name for each in (*refs.branches, *refs.tags)]
