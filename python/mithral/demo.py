"""python -m mithral demo: a trained classifier's last layer on real images, NumPy against Mithral.

scikit-learn's digits (1,797 images) go through a network with one hidden layer of 512 ReLU units. The hidden activations are
A and the last layer is B (512 x 10) with its bias; Mithral learns from the training images' activations and is judged on
those of images that neither the network nor Mithral has seen.
"""

from __future__ import annotations

import argparse
import os
import pickle
import sys
import time
import warnings
from pathlib import Path
from typing import Any, Callable, NamedTuple, Sequence

import numpy as np

import mithral

from ._progress import ProgressBar

CODEBOOKS = (8, 16, 32)  # of the models, by default
HIDDEN_UNITS = 512
TEST_SHARE = 0.25
ROUNDS = 15  # of timing; every variant takes its turn in each
CALLS = 5  # of one variant in a round
SLOW_CALL = 0.02  # seconds; a variant slower than this gets one call in a round, and in a third of the rounds


class Layer(NamedTuple):
    """The classifier's last layer and the activations that go into it."""

    train: np.ndarray  # float32 (n, D)
    test: np.ndarray  # float32 (n, D)
    weights: np.ndarray  # float32 (D, M)
    bias: np.ndarray  # float32 (M,)
    test_labels: np.ndarray  # (n,)


class Result(NamedTuple):
    """One trained and compiled model; times are seconds per call."""

    n_codebooks: int
    row_major: float
    column_major: float
    generic_row_major: float
    generic_column_major: float
    interpreter: float
    nmse: float  # 1 - R2 on the test activations
    agreement: float  # share of test rows with the predicted class of the exact layer
    accuracy: float  # of the classifier on the test images
    first_call: float  # compiling, emitting code, laying out tables, and one block of rows
    code_size: int
    table_size: int


def add_command(commands: Any) -> None:
    parser = commands.add_parser(
        "demo",
        help="train on real data, compile, call, compare with NumPy",
        description="Trains a digit classifier, replaces its last layer by Mithral kernels, and compares them with NumPy: "
        "time, error, agreement. Prints one table and saves a plot. Takes less than two minutes.",
    )
    parser.add_argument(
        "--codebooks", type=_count(1, 256), nargs="+", default=CODEBOOKS, metavar="C", help="of the models (default: 8 16 32)"
    )
    parser.add_argument("--seed", type=_count(0), default=0, help="of every random choice (default: 0)")
    parser.add_argument("--rows", type=_count(1), default=10_000, help="rows per call (default: 10000)")
    parser.add_argument("--output", type=Path, default=Path("mithral-demo.png"), help="the plot (default: %(default)s)")
    parser.set_defaults(run=lambda options: run(options.codebooks, options.seed, options.rows, options.output))


def run(codebooks: Sequence[int], seed: int, rows: int, output: Path) -> int:
    """Runs the demo; returns an exit status."""
    try:
        import matplotlib.figure
        import sklearn.datasets  # noqa: F401
        import threadpoolctl
    except ImportError as error:
        return _fail(f"the demo needs scikit-learn and matplotlib ({error}): pip install 'mithral[demo]'")
    formats = matplotlib.figure.Figure().canvas.get_supported_filetypes()
    if output.suffix[1:].lower() not in formats:
        return _fail(f"--output is {str(output)!r}; allowed: a name that ends in one of .{', .'.join(sorted(formats))}")
    if not os.access(output.resolve().parent, os.W_OK):
        return _fail(f"--output is {str(output)!r}: there is no folder {output.resolve().parent} to write to")

    with threadpoolctl.threadpool_limits(1):
        with ProgressBar("training the classifier on scikit-learn's digits") as bar:
            bar.update(0, 1)
            layer = train_classifier(seed)
            bar.update(1, 1)
        x = np.resize(layer.test, (rows, layer.test.shape[1]))  # the test activations, tiled
        x_columns = np.asfortranarray(x)
        exact = layer.test @ layer.weights + layer.bias
        kernels = {n_codebooks: compile_variants(layer, n_codebooks, seed) for n_codebooks in codebooks}
        times = {}
        for layout, rows_of_layout in (("row", x), ("column", x_columns)):
            times |= median_times(layout, competitors(layout, rows_of_layout, layer, kernels))
        blas = _blas_of_numpy(threadpoolctl.threadpool_info())

    results = [evaluate(layer, exact, n, kernel["jit"], times) for n, kernel in kernels.items()]
    accuracy = np.mean(exact.argmax(axis=1) == layer.test_labels)
    host = mithral.host()
    isa = kernels[codebooks[0]]["jit"].isa
    print()
    print(f"The last layer of a digit classifier: ({rows:,} x {HIDDEN_UNITS}) times ({HIDDEN_UNITS} x 10) plus bias, float32")
    print(f"CPU:    {host['brand'].strip()} ({host['microarchitecture']}), kernels for {isa}, 1 thread")
    print(f"NumPy:  {np.__version__} with {blas}, 1 thread")
    print(f"Error, agreement and accuracy: on the {len(layer.test)} test images, which no training has seen")
    print()
    print(table(results, times["numpy", "row"], times["numpy", "column"], accuracy))
    save_plot(results, times["numpy", "row"], output)
    print()
    print(f"Plot: {output.resolve()}")
    return 0


def train_classifier(seed: int) -> Layer:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
    from sklearn.neural_network import MLPClassifier

    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype(np.float32)
    train, test, train_labels, test_labels = train_test_split(
        images, labels, test_size=TEST_SHARE, random_state=seed, stratify=labels
    )
    with warnings.catch_warnings():
        # scikit-learn turns Ctrl-C into a warning and goes on with a half-trained network
        warnings.filterwarnings("error", message="Training interrupted by user")
        try:
            network = MLPClassifier(hidden_layer_sizes=(HIDDEN_UNITS,), random_state=seed).fit(train, train_labels)
        except UserWarning as warning:
            raise KeyboardInterrupt from warning
    hidden, last = network.coefs_
    hidden_bias, bias = network.intercepts_

    def activations(x: np.ndarray) -> np.ndarray:
        return np.maximum(x @ hidden + hidden_bias, 0).astype(np.float32)

    return Layer(activations(train), activations(test), last.astype(np.float32), bias.astype(np.float32), test_labels)


def compile_variants(layer: Layer, n_codebooks: int, seed: int) -> dict[str, mithral.Kernel]:
    """A kernel of each backend for one trained model."""
    with ProgressBar(f"training Mithral with C = {n_codebooks}") as bar:
        model = mithral.train(
            layer.train,
            layer.weights,
            layer.bias,
            n_codebooks=n_codebooks,
            seed=seed,
            threads=os.cpu_count() or 1,
            progress=bar.update,
        )
    return {
        backend: mithral.compile(model, backend=backend, threads=1) for backend in ("jit", "generic", "interpreter")
    }


def competitors(
    layout: str, x: np.ndarray, layer: Layer, kernels: dict[int, dict[str, mithral.Kernel]]
) -> dict[Any, Callable[[], object]]:
    """Everything that is timed on one array of rows: those that take turns share its place in the caches."""
    variants: dict[Any, Callable[[], object]] = {("numpy", layout): lambda: x @ layer.weights + layer.bias}
    backends = ("jit", "generic", "interpreter") if layout == "row" else ("jit", "generic")
    for backend in backends:  # the slow interpreter last: it leaves the caches to others
        for n_codebooks, of_backend in kernels.items():
            variants[n_codebooks, backend, layout] = lambda kernel=of_backend[backend]: kernel(x)
    return variants


def median_times(layout: str, variants: dict[Any, Callable[[], object]]) -> dict[Any, float]:
    """Seconds per call of each variant: the median over calls that take turns, so that all meet the same machine."""
    calls = {}
    for name, variant in variants.items():
        variant()  # the first call of a shape sets up scratch memory
        calls[name] = CALLS if _seconds(variant) < SLOW_CALL else 1
    samples: dict[Any, list[float]] = {name: [] for name in variants}
    with ProgressBar(f"timing {len(variants)} variants on {layout}-major input") as bar:
        for turn in range(ROUNDS):
            for name, variant in variants.items():
                if calls[name] > 1 or turn % 3 == 0:
                    samples[name] += [_seconds(variant) for _ in range(calls[name])]
            bar.update(turn + 1, ROUNDS)
    return {name: float(np.median(values)) for name, values in samples.items()}


def evaluate(layer: Layer, exact: np.ndarray, n_codebooks: int, kernel: mithral.Kernel, times: dict) -> Result:
    y = kernel(layer.test)
    first_calls = [_first_call_seconds(kernel.model, layer.test[:64]) for _ in range(5)]
    return Result(
        n_codebooks=n_codebooks,
        row_major=times[n_codebooks, "jit", "row"],
        column_major=times[n_codebooks, "jit", "column"],
        generic_row_major=times[n_codebooks, "generic", "row"],
        generic_column_major=times[n_codebooks, "generic", "column"],
        interpreter=times[n_codebooks, "interpreter", "row"],
        nmse=float(np.sum((y - exact) ** 2) / np.sum((exact - exact.mean(axis=0)) ** 2)),
        agreement=float(np.mean(y.argmax(axis=1) == exact.argmax(axis=1))),
        accuracy=float(np.mean(y.argmax(axis=1) == layer.test_labels)),
        first_call=float(np.median(first_calls)),
        code_size=kernel.code_size,
        table_size=kernel.table_size,
    )


def _first_call_seconds(model: mithral.Model, rows: np.ndarray) -> float:
    unshared = pickle.loads(pickle.dumps(model))  # kernels of one model share tables
    return _seconds(lambda: mithral.compile(unshared, threads=1)(rows))


def table(results: list[Result], numpy_time: float, numpy_columns_time: float, accuracy: float) -> str:
    """One column for NumPy and one for each model."""

    def milliseconds(seconds: float) -> str:
        return f"{seconds * 1e3:.3f} ms"

    def percent(share: float) -> str:
        return f"{100 * share:.1f} %"

    def line(label: str, exact: str, cell: Callable[[Result], str]) -> str:
        return f"{label:<34}" + "".join(f"{text:>13}" for text in [exact, *map(cell, results)])

    lines = [
        line("", "NumPy", lambda r: f"C = {r.n_codebooks}"),
        line("time per call, row-major input", milliseconds(numpy_time), lambda r: milliseconds(r.row_major)),
        line("              column-major input", milliseconds(numpy_columns_time), lambda r: milliseconds(r.column_major)),
        line("  generic,    row-major input", "", lambda r: milliseconds(r.generic_row_major)),
        line("              column-major input", "", lambda r: milliseconds(r.generic_column_major)),
        line("  interpreter, row-major input", "", lambda r: milliseconds(r.interpreter)),
        line("speed-up over NumPy (row-major)", "1.0x", lambda r: f"{numpy_time / r.row_major:.1f}x"),
        line(
            "              column-major input",
            f"{numpy_time / numpy_columns_time:.1f}x",
            lambda r: f"{numpy_time / r.column_major:.1f}x",
        ),
        line("error on test rows, 1 - R2", "0", lambda r: f"{r.nmse:.4f}"),
        line("same class as the exact layer", percent(1), lambda r: percent(r.agreement)),
        line("classifier accuracy", percent(accuracy), lambda r: percent(r.accuracy)),
        line("compiling, and a first call", "", lambda r: milliseconds(r.first_call)),
        line("code, bytes", "", lambda r: f"{r.code_size:,}"),
        line("tables, bytes", "", lambda r: f"{r.table_size:,}"),
    ]
    lines.insert(1, "-" * len(lines[0]))
    return "\n".join(lines)


def save_plot(results: list[Result], numpy_time: float, output: Path) -> None:
    """Speed-up over NumPy against agreement with the exact layer."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    agreement = [100 * r.agreement for r in results]
    for label, times in (
        ("column-major input", [r.column_major for r in results]),
        ("row-major input", [r.row_major for r in results]),
    ):
        speed_ups = [numpy_time / seconds for seconds in times]
        axes.plot(agreement, speed_ups, marker="o", label=f"Mithral, {label}")
        for r, x, y in zip(results, agreement, speed_ups):
            axes.annotate(f"C={r.n_codebooks}", (x, y), xytext=(4, 4), textcoords="offset points", fontsize=8)
    axes.plot(100, 1, "k*", markersize=10, label="NumPy, exact")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}x")
    axes.set_xlabel("rows with the exact layer's class, %")
    axes.set_ylabel("speed-up over NumPy, row-major")
    axes.set_title("Last layer of a digit classifier, 512 x 10, one thread")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(output, dpi=150)


def _blas_of_numpy(libraries: list[dict[str, Any]]) -> str:
    """The name of NumPy's BLAS: the one from NumPy's own wheel, or else any that is loaded."""
    blas = [library for library in libraries if library["user_api"] == "blas"]
    own = [library for library in blas if "numpy" in library["filepath"]] or blas
    return ", ".join(f"{library['internal_api']} {library['version']}" for library in own[:1]) or "an unknown BLAS"


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _count(least: int, most: int = 2**31 - 1) -> Callable[[str], int]:
    def count(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text!r}; allowed: integers from {least} to {most}")
        return value

    return count


def _fail(reason: str) -> int:
    print(f"python -m mithral demo: error: {reason}", file=sys.stderr)
    return 1
