"""mithral.train: a model from sample rows."""

from __future__ import annotations

import inspect
from typing import Any, Callable

from . import _core
from ._core import Model
from ._progress import ProgressBar, check_progress


def train(
    A: Any,
    B: Any,
    bias: Any = None,
    *,
    n_codebooks: int | None = None,
    n_linear: int | None = None,
    n_latents: int | None = None,
    budget: int | None = None,
    target: str | None = None,
    order: str = "C",
    depth: int = 4,
    objective: str = "mse",
    layout: str | None = None,
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
        n_codebooks, n_linear: the parts of the model by hand. C, 0 to 256 hash trees with tables, suit rows that fall into
            clusters; S, 0 to D columns taken as they are, quantised to 7 bits, times small integers, suit correlated
            columns, and S = D is nearly exact. Time and accuracy grow with both. One that is not given is 0. Fewer columns
            are taken where some are constant or sums of others, as many are of few rows; at most 8,192
        n_latents: r, 0 to 512, D and M: all outputs are made of so many sums of columns, of the leading principal directions
            of the outputs, which suits some hundred outputs and more that are not independent. They are linear dims' work
            themselves: of as many columns as take about as long as the outputs do, by the cost model (`target`, `order`); and
            fewer where outputs have no more directions.
            With latents n_codebooks is 0, and n_linear, for what latents leave, is rounded up to a multiple of 4
        budget: where none of them is given, 1 to 256 (default: 16): the mixture of both with the least error on validation rows
            among those whose calls take, by the cost model, the time of so many codebooks alone, which are tried first
        target, order: of the calls whose time the budget is: an ISA of mithral.isas(), by default this CPU's best; "C" for
            row-major rows, as NumPy has them, or "F" for column-major ones. Only the ISA's name counts, so the same input
            gives the same model on all CPUs that have it
        depth: L, 1 to 8; a hash tree has 2**L leaves
        objective: "mse", the squared error of the outputs; "argmax", the same trees and columns with tables and weights for
            which the largest output is more often the exact product's, at some cost in squared error; "reconstruction",
            trees that tell apart the rows of A, each on columns of its own, much as published
        layout: "column", or "row" for rows in C order, as NumPy has them: splits then stay in cache lines that are read
            anyway where that costs little, at most 5 % of error as far as a trial can tell, and linear dims are whole
            lines. By default that of `order` with a budget, else "column"
        rounding_tolerance: 0 to 1, the share by which the squared error may rise for smaller table entries, which kernels
            add faster; 0: only where it costs nothing
        seed: 0 to 2**63 - 1, which rows are held out; the model depends on the inputs and the seed alone
        threads: 1 to 1024, how many threads to train with; changes the time, never the result
        progress: None, True for a bar on stderr, or a function called with (steps done, steps in all); an exception
            from it stops training

    Returns a Model. Its `report` is a dict, of figures on `n_holdout` rows that training did not see:
        nmse: squared error over the variance of the exact outputs, both summed over the outputs; r2 is 1 - nmse
        argmax_agreement: share of rows whose largest output is the exact product's
    and of the model itself:
        n_train: rows learned from
        lambda: the ridge penalty of the tables
        line_tolerance: share of a split's gain given up for fewer cache lines
        cache_lines: 64-byte lines of a C-order row that splits and linear dims read
        max_entry: the largest table entry, 63, 127 or 255
        rounding_rise: share by which rounding the tables raised the squared error
        temperature: of the class probabilities fitted; 0: none
        max_weight: the largest weight of the linear dims, 63 or 127; 0: there are none
        ridge: their penalty
        target: the ISA's name, where there was a budget

    Raises ValueError for shapes that do not fit, wrong dtypes, too few rows, values that are not finite and options out of
    range, and TypeError for what is not an array.
    """
    options = _options(
        n_codebooks=n_codebooks,
        n_linear=n_linear,
        n_latents=n_latents,
        budget=budget,
        target=target,
        order=order,
        depth=depth,
        objective=objective,
        layout=layout,
        rounding_tolerance=rounding_tolerance,
        seed=seed,
        threads=threads,
    )
    check_progress(progress)
    if progress is True:
        with ProgressBar("training") as bar:
            return _core.train(A, B, bias, options, bar.update)
    return _core.train(A, B, bias, options, progress or None)


def check_train(*arguments: Any, **options: Any) -> None:
    """Raises what train raises at its start for these arguments, and does nothing else."""
    given = inspect.signature(train).bind(*arguments, **options)
    given.apply_defaults()
    check_progress(given.arguments.pop("progress"))
    matrices = [given.arguments.pop(name) for name in ("A", "B", "bias")]
    _core.check_train(*matrices, _options(**given.arguments))


def _options(**given: Any) -> dict[str, Any]:
    """What the extension module takes: parts by hand, or a budget for them."""
    parts = ("n_codebooks", "n_linear", "n_latents")
    by_hand = any(given[name] is not None for name in parts)
    if by_hand and given["budget"] is not None:
        raise ValueError(f"budget is {given['budget']!r} beside n_codebooks, n_linear or n_latents; give the one or the others")
    if by_hand:
        for name in parts:
            given[name] = 0 if given[name] is None else given[name]
    elif given["objective"] == "reconstruction":  # of trees alone
        given |= dict(n_codebooks=16 if given["budget"] is None else given["budget"], n_linear=0, n_latents=0, budget=None)
    elif given["budget"] is None:
        given["budget"] = 16
    if given["layout"] is None:
        given["layout"] = "row" if given["budget"] is not None and given["order"] == "C" else "column"
    return given
