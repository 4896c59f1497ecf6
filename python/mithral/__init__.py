"""Mithral compiles a fixed matrix into an x86 kernel.

From sample rows of A and a fixed B it learns hash trees and tables (the MADDNESS algorithm), then emits machine code for
exactly that model. Calling the kernel approximates A @ B + bias for new rows::

    model = mithral.train(A, B)          # A (n, D) sample rows, B (D, M)
    print(model.report["r2"])            # measured on rows that training did not see
    kernel = mithral.compile(model)
    Y = kernel(X)                        # float32 (N, M) for X (N, D)
"""

from __future__ import annotations

from typing import Any

from . import _core
from ._core import BadModelError, Kernel, Model, UnsupportedTargetError, __version__
from .cost_model import Estimate, estimate
from .importers import from_bolt, from_halut
from .training import train
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


def compile(
    model: Model,
    *,
    isa: str | None = None,
    backend: str | None = None,
    threads: int | None = None,
    bias: Any = None,
    activation: str | None = None,
    tune: str | None = None,
) -> Kernel:
    """Compiles a model into a kernel for this CPU.

    Parameters:
        isa: a name from isas(); None: the best that this CPU runs, at most the environment's MITHRAL_ISA
        backend: "jit" (machine code for this model), "generic" (ahead-of-time code that reads the model at run time) or
            "interpreter" (slow, runs on any CPU); all return the same bytes. None: MITHRAL_BACKEND, or "jit"
        threads: how many threads a call may use; None: MITHRAL_THREADS, or 1
        bias: (M,), convertible to float32: added to the model's offset, each sum rounded to float32; kernel.model has the sums
        activation: None, or "relu": float32 outputs that are not above 0 become +0, never -0. argmax and topk work on the
            activated values; sums stay what they are
        tune: how the schedule is chosen, which never changes a result. None or "rules": by rules of the model and the CPU;
            "measure": the fastest of several candidates on made-up rows, row-major in and out, found in about 0.1 s beside compiling them.
            kernel.describe() says what was chosen, and expected and measured times

    Raises ValueError for an option out of range; UnsupportedTargetError where this CPU runs no ISA that code can be generated
    for, or the system forbids executable memory. An `isa` that this CPU lacks compiles: program() and listing() work, and a
    call raises UnsupportedTargetError.
    """
    return _core.compile(model, isa=isa, backend=backend, threads=threads, bias=bias, activation=activation, tune=tune)


def isas() -> list[str]:
    """The names of the ISAs that code can be generated for, best last."""
    return _core.isas()


def host() -> dict[str, Any]:
    """What this CPU is and can run.

    Keys: "vendor", "brand", "microarchitecture", "features" (the vector features that both the CPU and the operating system
    provide) and "isas" (those of isas() that code may use here, best last).
    """
    return _core.host()
