"""Fingerprints of input files: what tells two checkpoints apart without reading all of them."""

from __future__ import annotations

from hashlib import sha256

from mergegraph.errors import RunError
from mergegraph.files.header import Header
from mergegraph.files.trees import Tree

SAMPLES = 256
SAMPLE_NBYTES = 1024


def fingerprint(tree: Tree, name: str, header: Header) -> str:
    """What tells a file from others: of one on disk a digest of samples, else what its tree says.

    The digest is the SHA-256 of the header, the size, and 256 samples of 1 KiB spread evenly.
    """
    if not tree.is_local:
        return tree.identity(name)
    path = tree.root / name
    digest = sha256(f"{header.digest}:{header.nbytes}".encode())
    try:
        with path.open("rb") as file:
            for i in range(SAMPLES):
                file.seek(i * header.nbytes // SAMPLES)
                digest.update(file.read(SAMPLE_NBYTES))
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from error
    return digest.hexdigest()
