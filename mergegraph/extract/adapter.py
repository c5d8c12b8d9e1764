"""The tensors and the config of an adapter, as PEFT reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from hashlib import blake2b
from typing import Any

from mergegraph.config import Config
from mergegraph.extract.fates import Fates, saved_modules
from mergegraph.extract.kinds import Pair, Paired
from mergegraph.ops.arithmetic import cast
from mergegraph.ops.sketch import factors, laid_out, sketch
from mergegraph.tasks import Task

PREFIX = "base_model.model."
_UNNAMED = {"gpt2": ("h.", "transformer.")}  # how names begin on disk -> what modules are under


def sketch_of(pair: Pair, *, most: int, seed: int) -> tuple[Task, Task]:
    """What holds the leading directions of a tensor; drawn the same for a seed and a name."""
    digest = blake2b(f"{seed}\\n{pair.name}".encode(), digest_size=16).digest()
    return sketch(pair.delta, rank=most, seed=int.from_bytes(digest, "little"))


def tensors_of(
    paired: Paired,
    fates: Fates,
    *,
    most: int,
    seed: int,
    dtype: str | None,
    prefix: str,
    is_even: bool,
) -> Iterator[tuple[str, Task]]:
    """The tensors of an adapter by name."""
    factored = {pair.module for pair in paired.pairs if pair.name in fates.ranks}
    for pair in paired.pairs:
        stored = dtype or pair.stored
        module = f"{PREFIX}{_placed(pair.module, prefix, paired)}"
        if pair.name in fates.ranks:
            found = sketch_of(pair, most=most, seed=seed)
            rank = fates.ranks[pair.name]
            sides = factors(pair.delta, found, rank=rank, dtype=stored, is_even=is_even)
            yield from _factored(pair, module, *sides, stored)
        elif pair.name in fates.whole:
            word = pair.name.rpartition(".")[2]
            inside = "base_layer." if pair.module in factored else ""
            yield f"{module}.{inside}{word}", cast(pair.own, stored)
            if pair.name in paired.tied:
                yield f"{PREFIX}{paired.tied[pair.name]}", cast(pair.own, stored)


def _factored(
    pair: Pair, module: str, left: Task, right: Task, dtype: str
) -> Iterator[tuple[str, Task]]:
    """The two factors: A takes what comes in, B gives what goes out."""
    rows, rank = left.spec.shape
    row = right.spec.shape[1]
    shape = pair.base.spec.shape
    if pair.kind in ("turned", "embedding"):  # stored as [in, out]
        words = ("lora_A.weight", "lora_B.weight")
        if pair.kind == "embedding":
            words = ("lora_embedding_A", "lora_embedding_B")
        yield f"{module}.{words[0]}", laid_out(left, shape=(rank, rows), dtype=dtype, turned=True)
        yield f"{module}.{words[1]}", laid_out(right, shape=(row, rank), dtype=dtype, turned=True)
        return
    ones = (1,) * (len(shape) - 2)
    yield f"{module}.lora_A.weight", laid_out(right, shape=(rank, *shape[1:]), dtype=dtype)
    yield f"{module}.lora_B.weight", laid_out(left, shape=(rows, rank, *ones), dtype=dtype)


def prefix_of(config: Config, names: Collection[str]) -> str:
    """What stands before the names of tensors in those of modules; most checkpoints have it all."""
    start, prefix = _UNNAMED.get(str(config.get("model_type")), ("", ""))
    is_bare = bool(start) and any(name.startswith(start) for name in names)
    tasks = [str(each) for each in config.get("architectures") or ()]
    return prefix if is_bare and any("LMHead" in each or "For" in each for each in tasks) else ""


def adapter_config(
    paired: Paired, fates: Fates, *, base: str, config: Config, prefix: str
) -> dict[str, Any]:
    """What PEFT is to be told of an adapter."""
    pairs = paired.pairs
    ranks = {f"{prefix}{p.module}": fates.ranks[p.name] for p in pairs if p.name in fates.ranks}
    usual = Counter(ranks.values()).most_common(1)[0][0] if ranks else 1
    others = {module: rank for module, rank in ranks.items() if rank != usual}
    modules = saved_modules(pairs, fates.whole)
    saved = [_placed(module, prefix, paired) for module in modules]
    saved += [head.removesuffix(".weight") for head in heads_of(paired, fates)]
    has_biases = any(p.module not in modules for p in pairs if p.name in fates.whole)
    return {
        "peft_type": "LORA",
        "auto_mapping": None,
        "base_model_name_or_path": base,
        "task_type": _task_type(config),
        "inference_mode": True,
        "r": usual,
        "lora_alpha": usual,
        "lora_dropout": 0.0,
        "use_rslora": False,
        "use_dora": False,
        "bias": "all" if has_biases else "none",
        "fan_in_fan_out": any(p.kind == "turned" and p.name in fates.ranks for p in pairs),
        "init_lora_weights": True,
        "target_modules": targets(paired, fates, prefix),
        "rank_pattern": others,
        "alpha_pattern": others,
        "modules_to_save": saved or None,
    }


def _placed(module: str, prefix: str, paired: Paired) -> str:
    """Where a module is in the model; heads stand beside what the others are in."""
    is_beside = any(pair.kind == "head" and pair.module == module for pair in paired.pairs)
    return module if is_beside else f"{prefix}{module}"


def heads_of(paired: Paired, fates: Fates) -> list[str]:
    """Heads that are embeddings saved whole: PEFT is given them twice, it unties what it saves."""
    return [head for embedding, head in paired.tied.items() if embedding in fates.whole]


def targets(paired: Paired, fates: Fates, prefix: str) -> list[str]:
    """The modules to be adapted: by their last words where these say it, else by whole names."""
    modules: dict[str, list[tuple[str, bool]]] = {}
    names = [*(pair.name for pair in paired.pairs), *paired.only_base]
    for module in (name.removesuffix(".weight") for name in names if name.endswith(".weight")):
        word = module.rpartition(".")[2]
        modules.setdefault(word, []).append((module, f"{module}.weight" in fates.ranks))
    chosen: dict[str, None] = {}
    for word, those in modules.items():
        taken = [f"{prefix}{module}" for module, is_taken in those if is_taken]
        is_word = len(taken) == len(those) and not word.isdigit()
        chosen |= dict.fromkeys([word] if is_word else taken)
    return list(chosen)


def _task_type(config: Config) -> str | None:
    """PEFT's word for what a model is for."""
    names = " ".join(map(str, config.get("architectures") or ()))
    for word, task in (
        ("ForCausalLM", "CAUSAL_LM"),
        ("LMHeadModel", "CAUSAL_LM"),
        ("ForConditionalGeneration", "SEQ_2_SEQ_LM"),
        ("ForSequenceClassification", "SEQ_CLS"),
        ("ForTokenClassification", "TOKEN_CLS"),
        ("ForQuestionAnswering", "QUESTION_ANS"),
    ):
        if word in names:
            return task if task != "SEQ_2_SEQ_LM" or config.get("is_encoder_decoder") else None
    return None
