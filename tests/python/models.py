"""Random models, inputs with hard values, the contract in NumPy, and compilation in another environment, for these tests."""

import os
import subprocess
import sys

import numpy as np

import mithral

COMPILE = """
import sys; sys.path.insert(0, sys.argv[1])
import numpy as np, mithral
from models import random_model
kernel = mithral.compile(random_model(np.random.default_rng(0)), **eval(sys.argv[2]))
print(kernel.backend, kernel.isa, kernel.threads)
"""


def compile_in(environment, arguments="{}"):
    """Compiles in a process of its own with these variables; its outcome."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MITHRAL_")}
    return subprocess.run(
        [sys.executable, "-c", COMPILE, os.path.dirname(__file__), arguments],
        env=clean | environment,
        capture_output=True,
        text=True,
    )


def random_arrays(rng, n_features=20, n_outputs=7, n_codebooks=5, depth=4):
    """The arrays of a model: what mithral.Model takes."""
    leaves = 2**depth
    thresholds = rng.normal(size=(n_codebooks, leaves - 1)).astype(np.float32)
    thresholds[rng.random(thresholds.shape) < 0.05] = np.inf  # nodes that never split
    level = 2 ** rng.integers(0, depth)
    thresholds[0, level - 1 : 2 * level - 1] = thresholds[0, level - 1]  # a level that shares its threshold
    return {
        "split_dims": rng.integers(0, n_features, (n_codebooks, depth), dtype=np.int32),
        "thresholds": thresholds,
        "lut": rng.integers(0, 256, (n_codebooks, leaves, n_outputs), dtype=np.uint8),
        "scale": rng.normal(size=n_outputs).astype(np.float32),
        "offset": rng.normal(size=n_outputs).astype(np.float32),
        "n_features": n_features,
    }


def random_model(rng, **shape):
    return mithral.Model(**random_arrays(rng, **shape))


def random_rows(rng, model, n_rows):
    """float32 (n_rows, D): normal values, with ties with thresholds, infinities, NaN and denormals among them."""
    x = rng.normal(size=(n_rows, model.n_features)).astype(np.float32)
    hard = np.concatenate([model.thresholds.ravel(), np.float32([np.nan, np.inf, -np.inf, 1e-42, -0.0, 3e38])])
    return np.where(rng.random(x.shape) < 0.2, rng.choice(hard, x.shape), x)


def oracle_codes(model, x):
    """uint8 (N, C): the contract of the hash trees."""
    codes = np.zeros((len(x), model.n_codebooks), np.uint8)
    for c in range(model.n_codebooks):
        node = np.zeros(len(x), np.intp)
        for level in range(model.depth):
            threshold = model.thresholds[c, 2**level - 1 + node]
            node = 2 * node + (x[:, model.split_dims[c, level]] > threshold)
        codes[:, c] = node
    return codes


def oracle(model, x):
    """float32 (N, M): exact integer sums, one product and one sum in float32."""
    sums = np.zeros((len(x), model.n_outputs), np.int64)
    for c, codes in enumerate(oracle_codes(model, x).T):
        sums += model.lut[c, codes]
    return sums.astype(np.float32) * model.scale + model.offset


def same_bytes(a, b):
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()
