"""Models as transformers runs them, made of tensors in memory; no code comes with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from threading import RLock
from typing import Any

from mergegraph import Candidate, MergeGraphError, check_alone

_LOADING = {"trust_remote_code": False, "local_files_only": True}
_FEW = 3
# what libraries are told, they are told for the whole process; and transformers imports its parts
# when they are first asked for, in a way that two threads cannot do at once
_ALONE = RLock()


def check_there(evaluator: str, *packages: str) -> None:
    """Raise MergeGraphError where a package is not installed that an evaluator needs."""
    for each in packages:
        if find_spec(each) is None:
            remedy = "pip install 'mergegraph[eval]'"
            raise MergeGraphError(f"{evaluator} needs {each.replace('_', '-')}: {remedy}")


def check_device(device: str) -> None:
    """Raise MergeGraphError where torch cannot compute."""
    if device == "cpu":
        return
    import torch

    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise MergeGraphError(f"device {device}: torch finds none of that name here") from error


def load_tokenizer(model: Candidate) -> Any:
    """The tokenizer among a model's files; raises MergeGraphError if there is none."""
    try:
        with quietly():
            from transformers import AutoTokenizer

            return AutoTokenizer.from_pretrained(model.files, **_LOADING)
    except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
        raise MergeGraphError(f"its tokenizer cannot be loaded: {_first(error)}") from error


def load_model(model: Candidate, *, dtype: str, device: str) -> Any:
    """A causal language model of a candidate's tensors; raises MergeGraphError if it is none."""
    import torch

    check_alone(model.files)
    try:
        with quietly():
            from transformers import (
                MODEL_FOR_CAUSAL_LM_MAPPING,
                MODEL_FOR_MASKED_LM_MAPPING,
                AutoConfig,
            )

            config = AutoConfig.from_pretrained(model.files, **_LOADING)
            if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
                raise MergeGraphError(f"{config.model_type} is no causal language model")
            if type(config) in MODEL_FOR_MASKED_LM_MAPPING and _looks_ahead(config):
                fact = f"this {config.model_type} is no causal language model: its tokens see those"
                raise MergeGraphError(f"{fact} after them, unless its config has is_decoder: true")
            kind: Any = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
            made, found = kind.from_pretrained(
                None,
                config=config,
                state_dict=dict(model.tensors),
                dtype=getattr(torch, dtype),
                output_loading_info=True,
                local_files_only=True,
            )
    except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
        raise MergeGraphError(f"transformers cannot load it: {_first(error)}") from error
    if lacking := sorted(found["missing_keys"]):
        more = f" and {len(lacking) - _FEW} more" if len(lacking) > _FEW else ""
        told = ", ".join(lacking[:_FEW]) + more
        raise MergeGraphError(f"transformers would make up {told}, which the model does not have")
    return made.eval().to(device)


def _looks_ahead(config: Any) -> bool:
    """Whether a model that may be a masked one is; the decoders of two-part models are not."""
    is_decoder = getattr(config, "is_decoder", False) or getattr(config, "causal", False)
    return not is_decoder and not getattr(config, "is_encoder_decoder", False)


@contextmanager
def quietly() -> Iterator[None]:
    """Have transformers say nothing meanwhile, as others print here; one thread at a time."""
    with _ALONE:
        from transformers.utils import logging as told

        logging: Any = told
        before, has_bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        try:
            yield
        finally:
            logging.set_verbosity(before)
            if has_bar:
                logging.enable_progress_bar()


def _first(error: Exception) -> str:
    """The first line of an error, which may have many."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
