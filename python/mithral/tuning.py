"""mithral.tune: the cheapest model that is accurate enough."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Callable, NamedTuple

import numpy as np

import mithral

from . import _core
from ._core import Model
from ._progress import ProgressBar, check_progress
from .training import check_train

CODEBOOKS = (1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
LINEAR = (4, 8, 16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)  # and D, the exact product of 8-bit integers
MIXED_CODEBOOKS, MIXED_LINEAR = (4, 8, 16), (16, 32, 64)  # of models with both parts
LATENTS, MANY_OUTPUTS = (8, 16, 32, 64, 96, 128, 192, 256, 384, 512), 32  # these share latents, as with budget=


class TuningRow(NamedTuple):
    """One model that was tried. Its parts are what train was asked for: a model has fewer where rows or outputs have no more."""

    n_codebooks: int
    depth: int
    nmse: float  # on held-out rows: squared error over the outputs' variance
    agreement: float  # on held-out rows: share whose largest output is the exact product's
    seconds: float  # estimated, of one call
    exact_seconds: float  # estimated, of the exact product
    meets_target: bool  # by its error and agreement
    chosen: bool  # Tuning.model is this one
    n_linear: int = 0
    n_latents: int = 0


@dataclass(frozen=True)
class Tuning:
    """What tune found.

    Attributes:
        model: the chosen model; where none meets the target, the most accurate one that was tried; None where none was
            tried, because the exact product is estimated to be faster than every candidate
        recommendation: "mithral": the model meets the target and is estimated to be faster than the exact product;
            "exact": stay with the exact product
        table: a TuningRow for each model that was tried, in order
        reason: the recommendation in a sentence
    """

    model: Model | None
    recommendation: str
    table: list[TuningRow]
    reason: str

    def __str__(self) -> str:
        parts = f"{'codebooks':>9} {'linear':>6} {'latents':>7} {'depth':>5}"
        head = f"{parts} {'1 - R2':>8} {'agreement':>9} {'estimated':>12} {'exact':>12}"
        lines = [head, "-" * len(head)]
        for row in self.table:
            mark = ("  <- chosen" if row.meets_target else "  <- closest") if row.chosen else ""
            lines.append(
                f"{row.n_codebooks:>9} {row.n_linear:>6} {row.n_latents:>7} {row.depth:>5} "
                f"{row.nmse:>8.2g} {100 * row.agreement:>7.1f} % "
                f"{1e3 * row.seconds:>9.3f} ms {1e3 * row.exact_seconds:>9.3f} ms{mark}"
            )
        return "\n".join([*lines, f"{self.recommendation}: {self.reason}"])

    __repr__ = __str__


class _Target(NamedTuple):
    max_error: float | None
    min_agreement: float | None

    def is_met_by(self, report: dict[str, Any]) -> bool:
        return (self.max_error is None or report["nmse"] <= self.max_error) and (
            self.min_agreement is None or report["argmax_agreement"] >= self.min_agreement
        )

    def distance(self, report: dict[str, Any]) -> float:
        """Orders models that miss the target: by agreement if that alone is asked for, else by error."""
        return report["nmse"] if self.max_error is not None else -report["argmax_agreement"]

    def __str__(self) -> str:
        error = [] if self.max_error is None else [f"1 - R2 of at most {self.max_error:g}"]
        agreement = [] if self.min_agreement is None else [f"agreement of at least {100 * self.min_agreement:g} %"]
        return " and ".join(error + agreement)


class _Candidate(NamedTuple):
    seconds: float  # estimated before training, which decides the order
    exact_seconds: float
    n_codebooks: int
    depth: int
    n_linear: int
    n_latents: int

    @property
    def work(self) -> int:
        """Training time, up to a factor: the number of splits to learn; linear dims take little."""
        return max(self.n_codebooks * self.depth, 1)

    @property
    def table_size(self) -> int:
        """Leaves of all trees: what train bounds beside the parameters themselves."""
        return self.n_codebooks << self.depth

    def __str__(self) -> str:
        trees = f"C = {self.n_codebooks}, depth {self.depth}" if self.n_codebooks else ""
        linear = f"S = {self.n_linear}" if self.n_linear else ""
        return ", ".join(filter(None, (trees, linear, f"r = {self.n_latents}" if self.n_latents else "")))


def tune(
    A: Any,
    B: Any,
    bias: Any = None,
    *,
    max_error: float | None = None,
    min_agreement: float | None = None,
    n_rows: int = 10_000,
    order: str = "C",
    codebooks: Iterable[int] | None = None,
    depths: Iterable[int] = (4,),
    linear: Iterable[int] | None = None,
    latents: Iterable[int] | None = None,
    seed: int = 0,
    threads: int = 1,
    progress: bool | Callable[[int, int], object] | None = None,
    **train_options: Any,
) -> Tuning:
    """Trains models of rising cost until one is accurate enough.

    Candidates are ordered by the estimated time of a call (mithral.estimate), so the first that meets the target is the
    cheapest. Models of linear dims or latents alone, which are trained in no time, come first: of the others, only
    those are trained that are estimated to be faster than the fastest of them that meets the target. Those that are
    estimated to take as long as the exact product are never trained.

    Parameters:
        A, B, bias, seed, threads: as for train
        max_error: the largest report["nmse"], the squared error over the outputs' variance, more than 0 and less than 1
        min_agreement: the smallest report["argmax_agreement"], the share of rows whose largest output is the exact
            product's, more than 0 and at most 1; B needs two columns or more. Where both are given, both must be met;
            one of them must be given. Both are measured on rows held out of training
        n_rows: rows per call, 1 or more, on which the estimated times depend
        order: of the rows per call: "C" (row-major) or "F" (column-major)
        codebooks, depths, linear: the numbers of codebooks, the depths and the numbers of linear dims to try, in all
            combinations. By default trees, linear dims from a few to all of D, which is nearly the exact product, and
            mixtures of both; where codebooks are given, trees alone unless linear= is given, too; where linear is given
            alone, the default numbers of codebooks, and none, beside each
        latents: the numbers of latents to try, of which all outputs are made; alone, if neither codebooks nor linear are
            given, else beside those. By default several up to 512, D and M, if none of the three is given and M is 32 or more
        progress: None, True for a bar on stderr, or a function called with (work done, work in all); an exception from
            it stops the search. The search often ends early: until then the time left is that of training all candidates
        train_options: further options of train, like objective=; layout= is by default "row" for rows in C order

    Returns a Tuning: its `model`, its `recommendation` ("mithral" or "exact") and the `table` of what was tried.

    Raises what train raises, ValueError for a target or candidates that make no sense and TypeError for what is not a
    number.
    """
    target = _target(max_error, min_agreement)
    for name, instead in (("n_codebooks", "codebooks"), ("depth", "depths"), ("n_linear", "linear"), ("n_latents", "latents")):
        if name in train_options:
            raise TypeError(f"tune tries several values of {name}; pass {instead}=({train_options[name]!r},)")
    for name in ("budget", "target"):
        if name in train_options:
            raise TypeError(f"tune has no {name}: it tries models by their time on this CPU until one is accurate enough")
    check_progress(progress)
    n_features, n_outputs = _shape_of(B)
    if min_agreement is not None and n_outputs == 1:
        raise ValueError(f"min_agreement is {min_agreement}, but B has one column; it needs two to choose from")
    n_rows = _core.integer(n_rows, "n_rows")
    if n_rows < 1:
        raise ValueError(f"n_rows is {n_rows}; allowed: 1 or more")
    layout = "row" if order == "C" else "column"
    options = {"layout": layout, "order": order, "seed": seed, "threads": threads, **train_options}
    if options.get("objective") == "reconstruction" and codebooks is None:
        codebooks = CODEBOOKS  # it is of trees alone
    levels = _integers(depths, "depths")
    by_default = codebooks is None and linear is None
    numbers = _numbers_of_latents(n_features, n_outputs, latents, by_default)
    sizes = {(0, levels[0], 0, r) for r in numbers}  # there are no trees that would have a depth
    if latents is None or not by_default:
        sizes |= _sizes(n_features, codebooks, levels, linear)
    if not sizes:
        raise ValueError("codebooks and linear are all 0; allowed: at least one codebook, linear dim or latent")
    shape = {"n_features": n_features, "n_outputs": n_outputs, "layout": options["layout"]}
    candidates = _estimated(sizes, n_rows=n_rows, order=order, **shape)
    largest = max(candidates, key=lambda candidate: candidate.table_size)
    check_train(A, B, bias, **_parts(largest), **options)

    def train(candidate: _Candidate, report_progress: Callable[[int, int], object] | None) -> Model:
        return mithral.train(A, B, bias, **_parts(candidate), progress=report_progress, **options)

    if progress is True:
        with ProgressBar("tuning") as bar:
            return _search(candidates, target, train, n_rows, order, bar.update, bar.describe)
    return _search(candidates, target, train, n_rows, order, progress or None, lambda label: None)


def _search(
    candidates: list[_Candidate],
    target: _Target,
    train: Callable[..., Model],
    n_rows: int,
    order: str,
    report_progress: Callable[[int, int], object] | None,
    describe: Callable[[str], object],
) -> Tuning:
    faster = [candidate for candidate in candidates if candidate.seconds < candidate.exact_seconds]
    faster.sort(key=lambda candidate: candidate.n_codebooks > 0)  # linear dims alone first
    total = sum(candidate.work for candidate in faster) or 1  # progress ends at the total, even of nothing
    done = 0
    best: Model | None = None
    best_index = 0
    least_seconds = math.inf  # of the fastest model that meets the target
    bound = math.inf  # the same, or what was estimated of it before: what takes longer is not worth a try
    table: list[TuningRow] = []
    for candidate in faster:
        if candidate.seconds >= bound:
            continue
        describe(f"tuning, {candidate}")
        step = None if report_progress is None else _part_of(report_progress, done, candidate.work, total)
        model = train(candidate, step)
        done += candidate.work
        times = mithral.estimate(model, n_rows, order=order)
        meets = target.is_met_by(model.report)
        table.append(
            TuningRow(
                candidate.n_codebooks,
                candidate.depth,
                model.report["nmse"],
                model.report["argmax_agreement"],
                times.mithral_seconds,
                times.exact_seconds,
                meets,
                chosen=False,
                n_linear=candidate.n_linear,
                n_latents=candidate.n_latents,
            )
        )
        nearer = best is None or target.distance(model.report) < target.distance(best.report)
        if (meets and times.mithral_seconds < least_seconds) or (least_seconds == math.inf and nearer):
            best, best_index = model, len(table) - 1
        if meets:
            least_seconds = min(least_seconds, times.mithral_seconds)
            bound = min(bound, least_seconds, candidate.seconds)
    if report_progress is not None:
        report_progress(total, total)
    if best is None:
        return Tuning(best, "exact", table, "every candidate is estimated to take as long as the exact product")
    row = table[best_index] = table[best_index]._replace(chosen=True)
    if not row.meets_target:
        reason = f"no model that is estimated to be faster than the exact product meets the target, {target}"
    elif row.seconds >= row.exact_seconds:  # trained, its trees read more of a row than was expected
        reason = "the cheapest model that meets the target is estimated to take as long as the exact product"
    else:
        return Tuning(best, "mithral", table, f"the cheapest model that meets the target, {target}")
    return Tuning(best, "exact", table, reason)


def _part_of(
    report_progress: Callable[[int, int], object], done: int, work: int, total: int
) -> Callable[[int, int], object]:
    """The progress of one training as that of the whole search."""
    return lambda steps, of: report_progress(done + work * steps // of, total)


def _target(max_error: Any, min_agreement: Any) -> _Target:
    if max_error is None and min_agreement is None:
        raise ValueError("neither max_error nor min_agreement is given; pass one of them, or both")
    for name, value in (("max_error", max_error), ("min_agreement", min_agreement)):
        if value is not None and (not isinstance(value, (int, float, np.number)) or isinstance(value, bool)):
            raise TypeError(f"{name} is {value!r}; expected a number")
    if max_error is not None and not 0 < max_error < 1:
        raise ValueError(f"max_error is {max_error}; allowed: more than 0 and less than 1, a share of the variance")
    if min_agreement is not None and not 0 < min_agreement <= 1:
        raise ValueError(f"min_agreement is {min_agreement}; allowed: more than 0 and at most 1, a share of the rows")
    return _Target(max_error, min_agreement)


def _shape_of(B: Any) -> tuple[int, int]:
    shape = getattr(B, "shape", None)
    if shape is None:
        raise TypeError(f"B is of type {type(B).__name__}; expected a NumPy array")
    if len(shape) != 2:
        raise ValueError(f"B has shape {tuple(shape)}; expected (D, M)")
    return shape


def _parts(candidate: _Candidate) -> dict[str, int]:
    """What train is called with."""
    others = {"n_linear": candidate.n_linear, "n_latents": candidate.n_latents}
    some = {name: count for name, count in others.items() if count > 0}
    return {"n_codebooks": candidate.n_codebooks, "depth": candidate.depth, **some}


def _sizes(
    n_features: int, codebooks: Iterable[int] | None, levels: list[int], linear: Iterable[int] | None
) -> set[tuple[int, int, int, int]]:
    """(n_codebooks, depth, n_linear, 0) of all models to try that have no latents."""
    default = CODEBOOKS if linear is None else (0, *CODEBOOKS)
    trees = _integers(default if codebooks is None else codebooks, "codebooks")
    if linear is not None:
        dims = _integers(linear, "linear")
        if max(dims) > n_features:
            raise ValueError(f"linear has {max(dims)}; allowed: 0 to {n_features}, the rows of B")
        return {(c, depth, s, 0) for c in trees for depth in levels for s in dims if c > 0 or s > 0}
    result = {(c, depth, 0, 0) for c in trees for depth in levels if c > 0}
    if codebooks is None:
        result |= {(0, levels[0], min(s, n_features), 0) for s in (*LINEAR, n_features)}
        result |= {(c, depth, s, 0) for c in MIXED_CODEBOOKS for depth in levels for s in MIXED_LINEAR if s < n_features}
    return result


def _numbers_of_latents(n_features: int, n_outputs: int, latents: Iterable[int] | None, by_default: bool) -> list[int]:
    """The numbers of latents to try: those given, or by default some of many outputs."""
    most = min(n_features, n_outputs, LATENTS[-1])
    if latents is None:
        return [r for r in LATENTS if r <= most] if by_default and n_outputs >= MANY_OUTPUTS else []
    numbers = _integers(latents, "latents")
    for r in (min(numbers), max(numbers)):
        if not 1 <= r <= most:
            raise ValueError(f"latents has {r}; allowed: 1 to {most}, the least of B's rows, its columns and {LATENTS[-1]}")
    return numbers


def _integers(values: Iterable[int], name: str) -> list[int]:
    try:
        given = list(values)
    except TypeError:
        raise TypeError(f"{name} is {values!r}; expected several integers, like (4, 8)") from None
    numbers = [_core.integer(value, f"an entry of {name}") for value in given]
    if not numbers:
        raise ValueError(f"{name} is empty; expected one value or more")
    return numbers


def _estimated(sizes: set[tuple[int, int, int, int]], **shape: Any) -> list[_Candidate]:
    """Cheapest first."""

    def seconds(c: int, depth: int, s: int, r: int) -> tuple[float, float]:
        if r > 0:
            return _core.estimate_latents(n_latents=r, **shape)
        return _core.estimate_shape(n_codebooks=c, depth=depth, n_linear=s, **shape)

    return sorted(_Candidate(*seconds(*size), *size) for size in sizes)
