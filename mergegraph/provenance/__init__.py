"""Provenance: what is told of a result, and of what it was made of."""
