"""Mixtures of experts made of dense models: attention of one, MLPs of all of them."""

from mergegraph.moe.command import prepare
from mergegraph.moe.reading import read_mixture

__all__ = ["prepare", "read_mixture"]
