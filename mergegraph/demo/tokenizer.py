"""The family's tokenizer: one token for each character it reads or writes."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, processors

PAD, BEGIN, END, UNKNOWN = range(4)
SPECIAL = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
CHARACTERS = " :=abcdefghijklmnopqrstuvwxyz"
VOCABULARY = {token: index for index, token in enumerate((*SPECIAL.values(), *CHARACTERS))}


def encode(text: str) -> list[int]:
    """The token ids of a text, begin and end not included."""
    return [VOCABULARY.get(character, UNKNOWN) for character in text]


def write_tokenizer(directory: Path) -> None:
    """Write the files by which transformers finds the same tokenizer."""
    _tokenizer().save(str(directory / "tokenizer.json"))
    special = json.dumps(SPECIAL, indent=2) + "\n"
    settings = {
        **SPECIAL,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "model_max_length": 128,
    }
    (directory / "special_tokens_map.json").write_text(special, "utf-8")
    (directory / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", "utf-8")


def _tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(VOCABULARY, [], unk_token=SPECIAL["unk_token"]))
    tokenizer.add_special_tokens(list(SPECIAL.values()))
    begin = SPECIAL["bos_token"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A", pair=f"{begin} $A $B", special_tokens=[(begin, BEGIN)]
    )
    tokenizer.decoder = decoders.Fuse()
    return tokenizer
