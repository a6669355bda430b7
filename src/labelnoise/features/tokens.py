"""Texts as token ids, by the tokenizer that a pretrained network was trained with."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Int64
from torch import Tensor

from labelnoise import _transformers

_TEXTS_AT_ONCE = 1000  # until its call ends, a tokenizer holds kilobytes a text
_FILE = "tokenizer.json"


class Tokens:
    """Token ids by the tokenizer of a local folder, as Hugging Face's transformers writes it; there is nothing to fit.

    A special token that is spelled out in a text, such as ``</s>``, is text like any other. No code of the folder is
    run, and nothing is downloaded.

    Args:
        folder: with ``tokenizer.json``, or vocabulary files that transformers can make it from.
        max_length: of a text in tokens, the special ones among them; the rest is cut off. Where the tokenizer knows a
            lower limit, that one holds.

    Example:
        >>> tokens = Tokens("bert-base-uncased")  # doctest: +SKIP
        >>> tokens.transform(["a red car", "a car"])  # doctest: +SKIP
        tensor([[ 101, 1037, 2417, 2482,  102],
                [ 101, 1037, 2482,  102,    0]])

    Raises:
        ValueError: transformers is not installed; the folder is none, or has no tokenizer with a padding token;
            ``max_length`` leaves no room for text.
    """

    def __init__(self, folder: str | Path, *, max_length: int = 128) -> None:
        self._tokenizer = _load(Path(folder))
        special = self._tokenizer.num_special_tokens_to_add()
        if max_length <= special:
            raise ValueError(f"max_length must be above {special}, the special tokens of a text, got {max_length}")
        self.max_length: int = min(max_length, self._tokenizer.model_max_length)
        self.pad_id: int = self._tokenizer.pad_token_id

    def transform(self, texts: Sequence[str]) -> Int64[Tensor, "n length"]:
        """One row a text, filled up on the right to the longest of these texts, and to one token at least."""
        parts = [self._part(texts[start : start + _TEXTS_AT_ONCE]) for start in range(0, len(texts), _TEXTS_AT_ONCE)]
        length = max([1, *(part.shape[1] for part in parts)])
        filled = [F.pad(part, (0, length - part.shape[1]), value=self.pad_id) for part in parts]
        return torch.cat([torch.empty(0, length, dtype=torch.int64), *filled])

    def _part(self, texts: Sequence[str]) -> Tensor:
        encoded = self._tokenizer(
            list(texts),
            truncation=True,
            max_length=self.max_length,
            padding=True,
            padding_side="right",
            split_special_tokens=True,
            return_attention_mask=False,
            return_token_type_ids=False,
            return_tensors="pt",
        )
        return encoded["input_ids"]

    def save(self, folder: Path) -> None:
        """Write what the class needs to be made again from ``folder``; ``max_length`` is the caller's to keep."""
        self._tokenizer.save_pretrained(folder)


def _load(folder: Path) -> Any:
    if not folder.is_dir():
        raise ValueError(f"folder must be one with a tokenizer, got {folder}, which is none")
    with _transformers.reading(folder, "tokenizer") as transformers:
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False, use_fast=True
        )
    # Without files transformers makes a tokenizer that knows no word, and says nothing.
    if not any((folder / name).is_file() for name in (_FILE, *tokenizer.vocab_files_names.values())):
        raise ValueError(f"{folder} must hold a tokenizer, got a folder without {_FILE}")
    if tokenizer.pad_token_id is None:
        raise ValueError(f"{folder} must hold a tokenizer with a padding token, got {type(tokenizer).__name__} without")
    return tokenizer
