"""Time against error: Mithral's trees, linear dims and mixtures beside what users could take instead.

    .venv/bin/python bench/frontier.py [--tasks digits head] [--orders C F] [--plot frontier.png] [--json frontier.json]

All are learned from the same training rows and judged on the same test rows, which none has seen; calls of 10,000 rows
(2,000 at least where outputs are thousands) of float32, C or Fortran order, to row-major outputs, on one thread, take
turns round by round; times are medians.
Printed per task and order: the points from the fastest on, those left out that another one of the same family beats in
both time and error; then each alternative that no point of Mithral's comes up to, within 10 % of its time and error,
and the fastest of those that are more exact than 8 bits can be.
"""

import argparse
import json
import os
import pathlib
import sys
import time
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

import mithral

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from alternatives import alternatives  # noqa: E402
from frontier_plot import save_plot  # noqa: E402
from problems import FRONTIER  # noqa: E402

TIMED_ROWS, LEAST_TIMED_ROWS = 10_000, 2_000  # as many as have TIMED_OUTPUTS in between
TIMED_OUTPUTS = 20_000_000
ROUNDS = 11
TIE = 1.1
FEW, MANY = (8, 16, 32), (4, 8, 16, 32, 64)  # codebooks, or budgets
MITHRAL = ("trees", "linear", "latents", "mixture")
LATENTS, LEAST_OUTPUTS = (8, 16, 32, 64, 128, 256), 64  # of fewer outputs there is little to factor


class Point(NamedTuple):
    task: str
    order: str  # of X
    family: str
    size: str  # what there is of it: codebooks, dims, columns, rank
    seconds: float  # of a call of timed_rows()
    nmse: float  # 1 - R2 on the test rows
    agreement: float  # share of the test rows whose largest output is the exact product's


def kernels(problem, order, options):
    """(family, size, function of X and out) of Mithral's."""
    layout = "row" if order == "C" else "column"
    given = dict(layout=layout, seed=options.seed)
    d = problem.weights.shape[0]
    budgets = FEW if options.quick else MANY
    for count in budgets:
        yield "trees", f"C {count}", _compiled(problem, options, n_codebooks=count, **given)
    for count in sorted({min(d, dims) for dims in (8, 16, 32, 48, 64, 96, 128, 256, d)}):
        if layout == "column" or count == d or count % 16 == 0:
            yield "linear", f"S {count}", _compiled(problem, options, n_linear=count, n_codebooks=0, **given)
    for count in LATENTS:
        if problem.weights.shape[1] >= LEAST_OUTPUTS and count <= min(problem.weights.shape):
            target = dict(order=order, target=options.isa)
            yield "latents", f"r {count}", _compiled(problem, options, n_latents=count, **given, **target)
    for budget in budgets:
        yield "mixture", f"budget {budget}", _compiled(
            problem, options, budget=budget, order=order, target=options.isa, seed=options.seed
        )


def _compiled(problem, options, **given):
    model = mithral.train(problem.train, problem.weights, problem.bias, threads=os.cpu_count(), **given)
    kernel = mithral.compile(model, isa=options.isa)
    return lambda x, out: kernel(x, out=out)


def timed_rows(problem):
    return min(TIMED_ROWS, max(LEAST_TIMED_ROWS, TIMED_OUTPUTS // problem.weights.shape[1]))


def measure(problem, order, options):
    """The Points of a task."""
    runs = list(kernels(problem, order, options))
    runs += [(a.family, f"{a.size}" if a.size else "", a.run) for a in alternatives(problem, order)]
    exact = problem.test.astype(np.float64) @ problem.weights + problem.bias
    variance = np.sum((exact - exact.mean(axis=0)) ** 2)
    n_timed = timed_rows(problem)
    rows = np.resize(problem.test, (n_timed, problem.test.shape[1])).astype(np.float32, order=order)
    out = np.empty((n_timed, problem.weights.shape[1]), np.float32)
    times = [[] for _ in runs]
    for _ in range(ROUNDS):
        for (_, _, run), taken in zip(runs, times):
            start = time.perf_counter()
            run(rows, out)
            taken.append(time.perf_counter() - start)
    points = []
    for (family, size, run), taken in zip(runs, times):
        y = np.empty(exact.shape, np.float32)
        run(problem.test.astype(np.float32, order=order), y)
        nmse = float(np.sum((y - exact) ** 2) / variance)
        agreement = float(np.mean(y.argmax(axis=1) == exact.argmax(axis=1)))
        points.append(Point(problem.name, order, family, size, float(np.median(taken)), nmse, agreement))
    return points


def beaten(point, others, tie=1.0):
    return any(o.seconds <= tie * point.seconds and o.nmse <= tie * point.nmse for o in others if o is not point)


def undefeated(points):
    """(Alternatives that lie left of and below all of Mithral's points, those that are more exact than all of these.)"""
    ours = [p for p in points if p.family in MITHRAL]
    least = min(p.nmse for p in ours)
    lost = [p for p in points if p.family not in MITHRAL and not beaten(p, ours, TIE)]
    return [p for p in lost if p.nmse >= least], [p for p in lost if p.nmse < least]


def print_points(points):
    shown = [p for p in points if not beaten(p, [o for o in points if o.family == p.family])]
    for p in sorted(shown, key=lambda p: p.seconds):
        print(f"  {1e6 * p.seconds:>9.0f} us  1-R2 {p.nmse:>9.2g}  agreement {p.agreement:>6.3f}  {p.family} {p.size}")
    lost, more_exact = undefeated(points)
    for p in lost:
        print(f"  not reached: {p.family} {p.size}, {1e6 * p.seconds:.0f} us, 1-R2 {p.nmse:.2g}")
    if not lost:
        print("  every alternative is reached or beaten")
    if more_exact:
        p = min(more_exact, key=lambda p: p.seconds)
        print(f"  more exact than 8 bits: {p.family} {p.size}, {1e6 * p.seconds:.0f} us, 1-R2 {p.nmse:.2g}")


def print_equal_time(points):
    """Mixtures over trees of the same budget: error and time."""
    trees = {p.size.split()[-1]: p for p in points if p.family == "trees"}
    for p in points:
        if p.family == "mixture":
            base = trees[p.size.split()[-1]]
            print(f"  {p.size}: {p.nmse / base.nmse:.2f} of the trees' error in {p.seconds / base.seconds:.2f} of their time")


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    text = f"of {', '.join(FRONTIER)}; default: all"
    parser.add_argument("--tasks", nargs="+", choices=FRONTIER, default=list(FRONTIER), metavar="NAME", help=text)
    parser.add_argument("--orders", nargs="+", choices="CF", default=["F", "C"], help="of X (default: both)")
    parser.add_argument("--isa", choices=mithral.host()["isas"], default=mithral.host()["isas"][-1])
    parser.add_argument("--quick", action="store_true", help="budgets 8, 16 and 32 only")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plot", type=pathlib.Path, metavar="FILE", help="save time against 1-R2 as a PNG")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="save all points")
    return parser.parse_args()


def main():
    options = parse_options()
    print(f"{mithral.host()['microarchitecture']}, isa {options.isa}, one thread")
    points = []
    with threadpool_limits(1):
        for name in options.tasks:
            problem = FRONTIER[name](options.seed)
            d, m = problem.weights.shape
            for order in options.orders:
                n_timed, n_train = timed_rows(problem), len(problem.train)
                print(f"== {name}, {order} order: {problem.title}; {d} -> {m}, {n_train:,} training rows, {n_timed:,} a call")
                points += measure(problem, order, options)
                of_task = [p for p in points if (p.task, p.order) == (name, order)]
                print_points(of_task)
                print_equal_time(of_task)
                sys.stdout.flush()
    if options.json:
        options.json.write_text(json.dumps([point._asdict() for point in points], indent=1) + "\n")
    if options.plot:
        save_plot(points, options.plot)


if __name__ == "__main__":
    main()
