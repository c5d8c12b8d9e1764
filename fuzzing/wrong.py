"""Values that nobody expects, and JSON that can hold them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from random import Random
from typing import Any


@dataclass(frozen=True)
class Raw:
    """A piece of JSON as it is written, be it JSON or not."""

    text: str


class Pairs(list[tuple[Any, Any]]):
    """An object as its keys and values: keys may come twice."""


_DEEP = 3000
_DIGITS = 5000
WORDS = (
    "",
    "..",
    "../x",
    "../../../../etc/passwd",
    "/etc/passwd",
    "/dev/zero",
    "C:\\Windows\\x",
    "a/../../b",
    "model.safetensors/",
    "\x00",
    "a\x00b",
    "a\nb: c",
    "\x1b[31mred\x1b[0m",
    "\x9b31m",
    "\u202egnp.exe",
    "\u2028",
    "\ud800",
    "\udfff\ud800",
    "\ufeff",
    "\U0001f600",
    "x" * 70_000,
    "-1",
    "1e999",
    "nan",
    "default",
    "None",
    "__class__",
    "{{ x }}",
    "{% for i in range(9) %}",
    "(a+)+$",
    "(",
    "model.layers.0.mlp.up_proj.weight",
    "layers.99999999999999999999.w",
)
VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    2,
    -1,
    7,
    64,
    2**31,
    2**63 - 1,
    2**63,
    -(2**63),
    2**64,
    10**30,
    0.5,
    -0.0,
    1e308,
    Raw("1e999"),
    Raw("-1e999"),
    Raw("NaN"),
    Raw("Infinity"),
    Raw("-Infinity"),
    Raw("1" * _DIGITS),
    Raw("-" + "9" * 40),
    Raw("[" * _DEEP + "]" * _DEEP),
    Raw('{"a":' * _DEEP + "1" + "}" * _DEEP),
    Raw('"\\ud800"'),
    Raw("\x01"),
    Raw(""),
    [],
    Pairs(),
    [[]],
    [None],
    ["x"],
    [0],
    [-1, 2**70],
    Pairs([("x", 1)]),
    Pairs([("x", 1), ("x", 2)]),
    *WORDS,
)


def parsed(text: bytes) -> Any:
    """JSON with its objects as Pairs; raises ValueError if it is none."""
    try:
        return json.loads(text.decode("utf-8"), object_pairs_hook=Pairs)
    except RecursionError as error:
        raise ValueError("too deep") from error


def dumped(value: Any) -> bytes:
    """JSON of a value with Pairs and Raw in it."""
    return _text(value).encode("utf-8", "surrogatepass")


def _text(value: Any) -> str:
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, Pairs):
        return "{" + ",".join(f"{_key(key)}:{_text(each)}" for key, each in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_text, value)) + "]"
    return json.dumps(value)


def _key(key: Any) -> str:
    return key.text if isinstance(key, Raw) else json.dumps(str(key))


def changed(value: Any, random: Random) -> Any:
    """JSON with one of its values or keys changed."""
    places = list(_places(value))
    if not places:
        return random.choice(VALUES)
    holder, at = random.choice(places)
    return _with(value, holder, at, random)


def _places(value: Any) -> list[tuple[Any, int]]:
    """Every list or object with the number of each of its members."""
    found: list[tuple[Any, int]] = []
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, list):
            found += [(each, i) for i in range(len(each))]
            waiting += [inner for _, inner in each] if isinstance(each, Pairs) else each
    return found


def _with(value: Any, holder: Any, at: int, random: Random) -> Any:
    """Change what stands at a place of a holder, in place."""
    key, inner = holder[at] if isinstance(holder, Pairs) else (None, holder[at])
    other = random.choice(random.choice(_places(value))[0])
    other = other[1] if isinstance(other, tuple) else other
    is_within = other is value or other is holder or isinstance(other, list)
    new = random.choice(
        [
            random.choice(VALUES),
            random.choice(VALUES),
            inner if is_within else other,
            _near(inner, random),
        ]
    )
    kind = random.randrange(8)
    if kind == 0:
        del holder[at]
    elif kind == 1:
        holder.insert(at, holder[at])
    elif kind == 2 and isinstance(holder, Pairs):
        holder[at] = (random.choice([*WORDS, random.choice(holder)[0]]), inner)
    elif kind == 3 and isinstance(holder, Pairs):
        holder.insert(at, (key, new))
    elif kind == 4:
        holder.insert(at, (random.choice(WORDS), new) if isinstance(holder, Pairs) else new)
    else:
        holder[at] = (key, new) if isinstance(holder, Pairs) else new
    return value


def _near(value: Any, random: Random) -> Any:
    """A value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + random.choice((-8, -1, 1, 2, 8, 2**32))
    if isinstance(value, str) and value:
        at = random.randrange(len(value) + 1)
        return value[:at] + random.choice(WORDS) + value[at:]
    if isinstance(value, list) and not isinstance(value, Pairs):
        return value[: random.randrange(len(value) + 1)] * random.randrange(1, 3)
    return random.choice(VALUES)
