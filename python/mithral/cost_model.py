"""How long a call takes, by the cost model of the C++ core."""

from __future__ import annotations

from typing import NamedTuple

from . import _core
from ._core import Model


class Estimate(NamedTuple):
    """Estimated seconds of one call on one thread: by a kernel of the model, and as an exact float32 product."""

    mithral_seconds: float
    exact_seconds: float

    @property
    def recommendation(self) -> str:
        """The faster of the two: "mithral" or "exact"."""
        return "mithral" if self.mithral_seconds < self.exact_seconds else "exact"


def estimate(model: Model, n_rows: int, *, order: str = "C") -> Estimate:
    """How long a kernel of the model, and an exact product, take for X (n_rows, D).

    Both are float32, on one thread, with row-major results; the exact product is that of a good BLAS. From constants
    measured on two servers (codegen/plan/cost_model.cpp): expect a factor of two, and trust ratios more than seconds.

    Parameters:
        n_rows: rows per call, 0 or more
        order: of X: "C" (row-major: the cache lines with used columns are read) or "F" (column-major: the used columns)

    Raises ValueError for values out of range, and for a model whose codes come from the caller, which has no exact product;
    TypeError for what is not an integer or a string.
    """
    return Estimate(*_core.estimate(model, n_rows, order=order))
