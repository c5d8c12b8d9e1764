"""Vocabularies: tokenizers united, rows permuted, and the files that tell of them."""

from mergegraph.vocabulary.uniting import United, unite

__all__ = ["United", "unite"]
