"""What is known of a tensor without reading it: its shape and its dtype."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

# torch's name of each dtype -> (code in safetensors headers, bytes of one entry)
DTYPES: dict[str, tuple[str, int]] = {
    "float64": ("F64", 8),
    "float32": ("F32", 4),
    "float16": ("F16", 2),
    "bfloat16": ("BF16", 2),
    "float8_e4m3fn": ("F8_E4M3", 1),
    "float8_e5m2": ("F8_E5M2", 1),
    "int64": ("I64", 8),
    "int32": ("I32", 4),
    "int16": ("I16", 2),
    "int8": ("I8", 1),
    "uint8": ("U8", 1),
    "uint16": ("U16", 2),
    "uint32": ("U32", 4),
    "uint64": ("U64", 8),
    "bool": ("BOOL", 1),
    "complex64": ("C64", 8),
}
DTYPE_OF_CODE = {code: dtype for dtype, (code, _) in DTYPES.items()}


@dataclass(frozen=True)
class Spec:
    """A tensor's shape, and its dtype by torch's name."""

    shape: tuple[int, ...]
    dtype: str

    @classmethod
    def of(cls, tensor: Any) -> Spec:
        """The spec of a tensor of torch."""
        return cls(tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))

    @cached_property
    def numel(self) -> int:
        """Number of entries."""
        return prod(self.shape)

    @property
    def itemsize(self) -> int:
        """Bytes of one entry."""
        return DTYPES[self.dtype][1]

    @property
    def nbytes(self) -> int:
        """Bytes of all entries."""
        return self.numel * self.itemsize

    @property
    def row(self) -> int:
        """Entries of one row: what follows the first axis; a vector is one row."""
        return prod(self.shape[1:]) if len(self.shape) > 1 else self.numel

    @property
    def is_float(self) -> bool:
        """Whether averaging the entries has a meaning."""
        return "float" in self.dtype

    def with_dtype(self, dtype: str) -> Spec:
        """The same shape in another dtype."""
        if dtype not in self._by_dtype:
            self._by_dtype[dtype] = self if dtype == self.dtype else Spec(self.shape, dtype)
        return self._by_dtype[dtype]

    @cached_property
    def _by_dtype(self) -> dict[str, Spec]:
        """What `with_dtype` has given: equal specs are one object, as plans hold millions."""
        return {}

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"
