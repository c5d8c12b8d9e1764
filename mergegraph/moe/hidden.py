"""Gates made of hidden states: what the base model has in mind at an expert's prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mergegraph.errors import MergeGraphError
from mergegraph.files.alone import check_alone
from mergegraph.moe.gates import CANCELLED, beyond_rows, read_tokenizer
from mergegraph.moe.reading import Expert

Encode = Callable[[str], list[int]]
_OTHERWISE = "use gate_mode cheap_embed or random"
_REMEDY = f"pip install 'mergegraph[moe]', or {_OTHERWISE}"


def hidden_gates(root: Path, experts: Sequence[Expert], *, mode: str) -> Any:
    """Gates `[layers, experts, hidden]` of the states that enter each layer of a model.

    Of a prompt the state at its last token counts, or the mean over its tokens if `mode` is
    hidden_avg. Raises MergeGraphError if the model cannot be run.
    """
    import torch

    model, encode = _loaded(root)
    rows = []
    with torch.no_grad():
        for expert in experts:
            row = _mean(model, encode, expert, expert.positive, mode)
            if expert.negative:
                row = row - _mean(model, encode, expert, expert.negative, mode)
            if not row.any():
                raise MergeGraphError(f"{expert.place}: {CANCELLED}")
            rows.append(row)
    gates = torch.stack(rows, dim=1)
    return gates / gates.norm(dim=2, keepdim=True).clamp(min=1e-30)


def _loaded(root: Path) -> tuple[Any, Encode]:
    try:
        from transformers import AutoModelForCausalLM
    except ImportError as error:
        raise MergeGraphError(f"gate_mode hidden runs the base model: {_REMEDY}") from error
    try:
        check_alone(root)
    except MergeGraphError as error:
        raise MergeGraphError(f"{error}; {_OTHERWISE}") from error
    try:
        tokens = _encoder(root)
        model = AutoModelForCausalLM.from_pretrained(
            root, trust_remote_code=False, local_files_only=True
        )
    except (OSError, ValueError, ImportError) as error:
        fact = f"{root}: transformers cannot load it, as gate_mode hidden needs: {error}"
        raise MergeGraphError(f"{fact}; {_OTHERWISE}") from error
    model.eval()  # type: ignore[no-untyped-call]
    return model, tokens


def _encoder(root: Path) -> Encode:
    """What makes tokens of a prompt."""
    if (root / "tokenizer.json").is_file():
        known = read_tokenizer(root)
        return lambda prompt: known.encode(prompt).ids
    from transformers import AutoTokenizer

    slow = AutoTokenizer.from_pretrained(root, trust_remote_code=False, local_files_only=True)
    return lambda prompt: slow(prompt)["input_ids"]


def _mean(model: Any, encode: Encode, expert: Expert, prompts: Sequence[str], mode: str) -> Any:
    """The mean over prompts of a state for each layer, `[layers, hidden]`."""
    import torch

    states, rows = [], model.get_input_embeddings().num_embeddings
    for prompt in prompts:
        tokens = encode(prompt)
        if not tokens:
            raise MergeGraphError(f"the prompt {prompt!r} has no tokens")
        if max(tokens) >= rows:
            raise MergeGraphError(f"{expert.place}: {beyond_rows(max(tokens), rows)}")
        ids = torch.tensor([tokens])
        # the last of the states leaves the last layer, the others enter one each
        found = model(input_ids=ids, output_hidden_states=True, use_cache=False).hidden_states[:-1]
        layers = torch.stack(found)[:, 0].float()
        states.append(layers.mean(dim=1) if mode == "hidden_avg" else layers[:, -1])
    return torch.stack(states).mean(dim=0)
