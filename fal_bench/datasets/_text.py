"""Texts as vectors: encoders that are never trained."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal

import numpy as np

from fal_bench.arrays import FloatArray, IntArray
from fal_bench.data.scaling import standardised
from fal_bench.errors import DataError

Encoder = Literal["words", "wordllama"]
"""How a text becomes a vector."""

WORDS: Final = 1024
"""Features of a text whose words are counted."""

_AT_ONCE: Final = 1024
"""Texts that are encoded before their tokens are forgotten."""

_TOKEN = re.compile(r"\w+|[^\w\s]")


def encode(texts: Sequence[str], encoder: Encoder, train: IntArray) -> FloatArray:
    """Return vectors of texts.

    Args:
        texts: the texts.
        encoder: ``"words"`` counts words, each of which has one of 1,024 places by a hash, and
            scales the counts of a text to one length: a linear layer on it is an embedding bag.
            ``"wordllama"`` averages the 256 numbers that the package wordllama has for each token,
            and gives them mean 0 and deviation 1 over the training texts.
        train: positions of the training texts.

    Returns:
        Shape (n, d).

    Raises:
        DataError: the package of the encoder is not installed.
    """
    vectors = _ENCODERS[encoder](texts)
    if encoder == "words":  # rare words would become large
        return vectors
    return standardised(vectors[train], vectors)[1]


def encoder_version(encoder: Encoder) -> str:
    """Return what an encoder's vectors depend on besides the texts.

    Raises:
        DataError: its package is not installed.
    """
    if encoder == "words":
        return ""
    _wordllama_folder()
    return version("wordllama")


def _words(texts: Sequence[str]) -> FloatArray:
    counts = np.zeros((len(texts), WORDS), dtype=np.float32)
    for row, text in enumerate(texts):
        for token in _TOKEN.findall(text.lower()):
            counts[row, zlib.crc32(token.encode("utf-8", "replace")) % WORDS] += 1
    lengths = np.linalg.norm(counts, axis=1, keepdims=True)
    counts *= WORDS**0.5 / np.where(lengths > 0, lengths, 1)
    return counts


def _wordllama(texts: Sequence[str]) -> FloatArray:
    folder = _wordllama_folder()
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    # The files are read as they lie in the package: its own loader looks for them elsewhere.
    tokenizer = Tokenizer.from_file(str(folder / "tokenizers/l2_supercat_tokenizer_config.json"))
    tokenizer.no_padding()
    vectors = load_file(folder / "weights/l2_supercat_256.safetensors")["embedding.weight"]
    encoded = np.zeros((len(texts), vectors.shape[1]), dtype=np.float32)
    for start in range(0, len(texts), _AT_ONCE):
        some = list(texts[start : start + _AT_ONCE])
        for row, found in enumerate(tokenizer.encode_batch(some, add_special_tokens=False), start):
            if found.ids:
                encoded[row] = vectors[found.ids].astype(np.float32).mean(axis=0)
    return encoded


def _wordllama_folder() -> Path:
    found = find_spec("wordllama")
    if found is None or found.origin is None:
        raise DataError(
            "The encoder wordllama is not installed; run pip install 'falbench[wordllama]', or use "
            "encoder=words."
        )
    return Path(found.origin).parent


_ENCODERS: Final[dict[Encoder, Callable[[Sequence[str]], FloatArray]]] = {
    "words": _words,
    "wordllama": _wordllama,
}
