"""The bits of float32 numbers, by which magnitudes are compared and counted."""

from __future__ import annotations

from typing import Any

MAGNITUDE = 0x7FFF_FFFF  # all bits but the sign: whole numbers in the order of the magnitudes
INFINITY = 0x7F80_0000  # the bits of infinity; those of NaN are greater
LOW_BITS = 16  # of a magnitude, counted after the high ones


def magnitudes(tensor: Any) -> Any:
    """The bits of |x|: int32 numbers in the order of the magnitudes, NaN above all."""
    import torch

    return tensor.float().view(torch.int32) & MAGNITUDE
