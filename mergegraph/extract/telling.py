"""What is told of an extraction: in lines, and in the adapter's card."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mergegraph.extract.fates import Fates, Measured, table
from mergegraph.extract.kinds import Paired

if TYPE_CHECKING:
    from mergegraph.extract.survey import Request

_FEW = 3
_WORDS = {"turned": "turned matrix", "vector": "norm"}


def lines_of(paired: Paired, found: Mapping[str, Measured], fates: Fates) -> Iterator[str]:
    """What became of the tensors, nothing left unsaid."""
    for kind, count, ranks, error, worst in table(paired.pairs, found, fates):
        yield (
            f"{_WORDS.get(kind, kind)}: {count} tensors, rank {ranks}, "
            f"relative error {error:.2%}, of the worst {worst:.2%}"
        )
    if fates.capped:
        yield f"{_few(fates.capped)}: more than the highest rank would be needed for that energy"
    if fates.whole:
        yield f"saved whole: {_few(fates.whole)}"
    for embedding, head in paired.tied.items():
        if embedding in fates.whole:
            yield f"{embedding} is the head, too, and saved as {head}, too: PEFT unties them"
    if fates.equal:
        yield f"left out, equal to the base: {_few(fates.equal)}"
    for name, why in fates.left_out.items():
        yield f"left out: {name}: {why}; it is {found[name].distance:.2%} from the base"
    yield from _of_names(paired)


def _of_names(paired: Paired) -> Iterator[str]:
    """What is told without looking at any tensor."""
    yield from paired.notes
    if paired.numbers:
        yield f"left out, not looked at, as they are whole numbers: {_few(paired.numbers)}"
    if paired.only_model:
        yield f"left out, the base has no such tensor: {_few(paired.only_model)}"
    if paired.only_base:
        yield f"as in the base, the model has no such tensor: {_few(paired.only_base)}"


def request_text(request: Request, seed: int) -> str:
    """A request as a command, but for where the result goes."""
    return f"mergegraph extract-lora {shlex.join(_words(request, seed))}"


def card_of(request: Request, place: Path, lines: Sequence[str], seed: int) -> str:
    """The adapter's card."""
    told = "\n".join(f"- {line}" for line in lines)
    name = place.name
    return f"""---
base_model: {json.dumps(request.base)}
library_name: peft
tags:
- mergegraph
- lora
---
# {name}

The difference of `{request.model}` and its base `{request.base}`, of low rank, made with
mergegraph.

## What is in it

{told}

## How to use it

```python
from peft import PeftModel
from transformers import AutoModelForCausalLM

base = AutoModelForCausalLM.from_pretrained({request.base!r})
model = PeftModel.from_pretrained(base, {name!r})
```

## How to make it again

```sh
{request_text(request, seed)} --out {shlex.quote(name)}
```
"""


def _words(request: Request, seed: int) -> Iterator[str]:
    wishes = request.wishes
    yield from ("--model", request.model, "--base", request.base)
    if wishes.rank is not None:
        yield from ("--rank", str(wishes.rank))
    else:
        yield from ("--max-rank", str(wishes.max_rank))
    if wishes.energy is not None:
        yield from ("--energy", f"{wishes.energy:g}")
    if wishes.sv_epsilon:
        yield from ("--sv-epsilon", f"{wishes.sv_epsilon:g}")
    for option, values in (
        ("--include", wishes.include),
        ("--exclude", wishes.exclude),
        ("--save-module", wishes.save_modules),
    ):
        for each in values:
            yield from (option, each)
    if wishes.embed_lora:
        yield "--embed-lora"
    if request.dtype is not None:
        yield from ("--dtype", request.dtype)
    if not request.is_even:
        yield "--no-distribute-scale"
    if seed:
        yield from ("--seed", str(seed))


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
    return ", ".join(names[:_FEW]) + more
