"""Fingerprints of input files: what tells two checkpoints apart without reading all of them."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from mergegraph.errors import RunError
from mergegraph.header import Header

SAMPLES = 256
SAMPLE_NBYTES = 1024


def fingerprint(path: Path, header: Header) -> str:
    """SHA-256 of a file's header, its size, and 256 samples of 1 KiB spread evenly over it."""
    digest = sha256(f"{header.digest}:{header.nbytes}".encode())
    try:
        with path.open("rb") as file:
            for i in range(SAMPLES):
                file.seek(i * header.nbytes // SAMPLES)
                digest.update(file.read(SAMPLE_NBYTES))
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from error
    return digest.hexdigest()
