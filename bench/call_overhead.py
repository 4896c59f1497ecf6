"""What a call from Python costs beyond the kernel's own work: one row of 768, 1000 outputs."""

import statistics
import time

import numpy as np
from threadpoolctl import threadpool_limits

import mithral

N_FEATURES, N_OUTPUTS, N_CODEBOOKS, DEPTH = 768, 1000, 16, 4
SHAPE = f"1x{N_FEATURES}x{N_OUTPUTS}"
CALLS = 200  # timed together
ROUNDS = 51


def model_like_the_benchmarks():
    """As make_model of bench/problem.cpp draws it; with other random numbers, which cost the same."""
    rng = np.random.default_rng(1)
    n_leaves = 2**DEPTH
    reach = np.maximum(12, np.round(120 * 0.9 ** np.arange(N_CODEBOOKS))).astype(int)
    return mithral.Model(
        split_dims=rng.integers(N_FEATURES, size=(N_CODEBOOKS, DEPTH)).astype(np.int32),
        thresholds=rng.standard_normal((N_CODEBOOKS, n_leaves - 1)).astype(np.float32),
        lut=rng.integers(reach[:, None, None] + 1, size=(N_CODEBOOKS, n_leaves, N_OUTPUTS)).astype(np.uint8),
        scale=np.full(N_OUTPUTS, 0.01, np.float32),
        offset=np.full(N_OUTPUTS, -1, np.float32),
        n_features=N_FEATURES,
    )


def measure():
    """Microseconds of CPU time a call, medians of interleaved rounds: {"kernel": kernel(X), "kernel_out": kernel(X,
    out=Y), "numpy": X @ B, "numpy_out": the same into Y}. One thread."""
    rng = np.random.default_rng(0)
    kernel = mithral.compile(model_like_the_benchmarks(), threads=1)
    x = rng.standard_normal((1, N_FEATURES)).astype(np.float32)
    b = rng.standard_normal((N_FEATURES, N_OUTPUTS)).astype(np.float32)
    y = np.empty((1, N_OUTPUTS), np.float32)
    calls = {
        "kernel": lambda: kernel(x),
        "kernel_out": lambda: kernel(x, out=y),
        "numpy": lambda: x @ b,
        "numpy_out": lambda: np.matmul(x, b, out=y),
        "nothing": lambda: None,
    }
    rounds = {name: [] for name in calls}
    with threadpool_limits(1):
        for _ in range(ROUNDS):
            for name, call in calls.items():
                rounds[name].append(_microseconds(call))
    medians = {name: statistics.median(times) for name, times in rounds.items()}
    nothing = medians.pop("nothing")  # the loop and the lambda
    return {name: time_ - nothing for name, time_ in medians.items()}


def _microseconds(call):
    start = time.thread_time_ns()
    for _ in range(CALLS):
        call()
    return (time.thread_time_ns() - start) / CALLS / 1000
