"""Tiny tokenizers, trained or spelled out."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

FOX = "the quick brown fox jumps over the lazy dog and then the other dog " * 3
WORLD = "hello world the quick program returns hello value and value world " * 3
SPECIAL = ("<s>", "</s>")


def bpe(text: str, size: int = 290, added: Sequence[str] = ()) -> Tokenizer:
    """A byte-level BPE trained on a text, with some added tokens."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator([text], trainer)
    made.add_tokens([AddedToken(each, special=True, normalized=False) for each in added])
    return made


def words(*tokens: str, added: Sequence[str] = ()) -> Tokenizer:
    """A tokenizer of whole words."""
    vocab = {token: i for i, token in enumerate(("<unk>", *tokens))}
    made = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.add_special_tokens(list(added))
    return made
