"""Mithral compiles a fixed matrix into an x86 kernel.

From sample rows of A and a fixed B it learns hash trees and tables (the MADDNESS algorithm), then emits machine code for
exactly that model. Calling the kernel approximates A @ B + bias for new rows::

    model = mithral.train(A, B)          # A (n, D) sample rows, B (D, M)
    print(model.report["r2"])            # measured on rows that training did not see
    kernel = mithral.compile(model)
    Y = kernel(X)                        # float32 (N, M) for X (N, D)
"""

from __future__ import annotations

from typing import Any, Callable

from . import _core
from ._core import BadModelError, Kernel, Model, UnsupportedTargetError, __version__
from ._progress import ProgressBar
from .cost_model import Estimate, estimate
from .importers import from_bolt, from_halut
from .tuning import Tuning, TuningRow, tune

__all__ = [
    "BadModelError",
    "Estimate",
    "Kernel",
    "Model",
    "Tuning",
    "TuningRow",
    "UnsupportedTargetError",
    "__version__",
    "compile",
    "estimate",
    "from_bolt",
    "from_halut",
    "host",
    "isas",
    "train",
    "tune",
]


def train(
    A: Any,
    B: Any,
    bias: Any = None,
    *,
    n_codebooks: int = 16,
    depth: int = 4,
    objective: str = "mse",
    layout: str = "column",
    rounding_tolerance: float = 0.01,
    seed: int = 0,
    threads: int = 1,
    progress: bool | Callable[[int, int], object] | None = None,
) -> Model:
    """Learns a model of x -> x @ B + bias from sample rows.

    Parameters:
        A: (n, D) sample rows, drawn like the rows that the kernel will see; any real dtype, any strides
        B: (D, M)
        bias: (M,), or None for zeros
        n_codebooks: C, 1 to 256; time and accuracy grow with it
        depth: L, 1 to 8; a hash tree has 2**L leaves
        objective: "mse", the squared error of the outputs; "argmax", the same trees with tables for which the largest
            output is more often the exact product's, at some cost in squared error; "reconstruction", trees that tell
            apart the rows of A, each on columns of its own, much as published
        layout: "column", or "row" for rows in C order, as NumPy has them: splits then stay in cache lines that are read
            anyway where that costs little: at most 5 % of error, as far as a trial can tell
        rounding_tolerance: 0 to 1, the share by which the squared error may rise for smaller table entries, which kernels
            add faster; 0: only where it costs nothing
        seed: which rows are held out; the model depends on the inputs and the seed alone
        threads: how many threads to train with; changes the time, never the result
        progress: None, True for a bar on stderr, or a function called with (steps done, steps in all); an exception
            from it stops training

    Returns a Model whose `report` tells the error on held-out rows.

    Raises ValueError for shapes that do not fit, wrong dtypes, too few rows, values that are not finite and options out of
    range, and TypeError for what is not an array.
    """
    options = dict(
        n_codebooks=n_codebooks,
        depth=depth,
        objective=objective,
        layout=layout,
        rounding_tolerance=rounding_tolerance,
        seed=seed,
        threads=threads,
    )
    if progress is True:
        with ProgressBar("training") as bar:
            return _train(A, B, bias, bar.update, **options)
    return _train(A, B, bias, progress or None, **options)


def _train(A, B, bias, progress, **options) -> Model:
    if progress is not None and not callable(progress):
        raise TypeError(f"progress is {progress!r}; expected None, True or a function of (done, total)")
    return _core.train(A, B, bias, progress=progress, **options)


def compile(
    model: Model, *, isa: str | None = None, backend: str | None = None, threads: int | None = None
) -> Kernel:
    """Compiles a model into a kernel for this CPU.

    Parameters:
        isa: a name from isas(); None: the best that this CPU runs, at most the environment's MITHRAL_ISA
        backend: "jit" (machine code for this model), "generic" (ahead-of-time code that reads the model at run time) or
            "interpreter" (slow, runs on any CPU); all return the same bytes. None: MITHRAL_BACKEND, or "jit"
        threads: how many threads a call may use; None: MITHRAL_THREADS, or 1

    Raises ValueError for an option out of range; UnsupportedTargetError where this CPU runs no ISA that code can be generated
    for, or the system forbids executable memory. An `isa` that this CPU lacks compiles: program() and listing() work, and a
    call raises UnsupportedTargetError.
    """
    return _core.compile(model, isa=isa, backend=backend, threads=threads)


def isas() -> list[str]:
    """The names of the ISAs that code can be generated for, best last."""
    return _core.isas()


def host() -> dict[str, Any]:
    """What this CPU is and can run.

    Keys: "vendor", "brand", "microarchitecture", "features" (the vector features that both the CPU and the operating system
    provide) and "isas" (those of isas() that code may use here, best last).
    """
    return _core.host()
