"""Error and agreement of Mithral's trainer beside the published one's, with each of Mithral's parts taken out in turn.

    .venv/bin/python bench/accuracy.py [--problems digits head] [--codebooks 8 16] [--plot accuracy.png]

All variants learn from the same training rows, run through the same kernels, and are judged on the same test rows,
which none of them has seen. Columns of the tables:

    1-R2          squared error over the variance of the exact outputs, both summed over the outputs
    / published   1-R2 over the published trainer's at the same C
    agreement     share of rows whose largest output is the exact product's
    training      seconds, one thread
    lines         cache lines (64 bytes) of a row-major row that the splits touch
    entry         the largest table entry: 255 needs all 8 bits; smaller ones let kernels add more tables in bytes
    row, column   time of a call over that of "mithral", row-major and column-major input: medians of interleaved calls
"""

import argparse
import json
import pathlib
import sys
import time
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

import mithral

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from accuracy_plot import save_plot  # noqa: E402
from problems import PROBLEMS  # noqa: E402
from published import train_published  # noqa: E402

PUBLISHED = "published"
DEFAULT = "mithral"
FOR_CLASSIFIERS = "argmax"
MIXTURE = "mixture"

# What mithral.train is called with. "mithral" is what users get; each other variant changes one part of it.
VARIANTS = {
    DEFAULT: {},
    "reconstruction": {"objective": "reconstruction"},  # trees learned on the input instead of the outputs
    FOR_CLASSIFIERS: {"objective": "argmax"},  # tables fitted to class probabilities
    "row": {"layout": "row"},  # splits prefer cache lines that are read anyway
    "8-bit": {"rounding_tolerance": 0},  # no table gives up bits for faster sums
    MIXTURE: {"order": "F"},  # the best of trees and linear dims in the time of C codebooks, column-major
}

GOAL_STRUCTURED = 0.6  # 1-R2 over the published trainer's at the same C
GOAL = 1.0
GOAL_CODEBOOKS = range(8, 65)

TIMED_ROWS = 10_000
TIMED_ROUNDS = 21


class Result(NamedTuple):
    """One model, judged on the test rows."""

    problem: str
    variant: str
    n_codebooks: int
    nmse: float  # 1 - R2
    agreement: float
    training: float  # seconds
    cache_lines: int
    max_entry: int
    row_major: float  # seconds per call of TIMED_ROWS
    column_major: float


def train(problem, variant, n_codebooks, seed):
    if variant != PUBLISHED:
        size = {"budget" if variant == MIXTURE else "n_codebooks": n_codebooks}
        return mithral.train(problem.train, problem.weights, problem.bias, seed=seed, **size, **VARIANTS[variant])
    arrays = train_published(problem.train, problem.weights, n_codebooks)
    arrays["offset"] = (arrays["offset"] + problem.bias).astype(np.float32)
    return mithral.Model(**arrays, n_features=problem.weights.shape[0])


def evaluate(problem, variants, n_codebooks, seed):
    """{variant: Result}."""
    models, training = {}, {}
    for variant in variants:
        start = time.perf_counter()
        models[variant] = train(problem, variant, n_codebooks, seed)
        training[variant] = time.perf_counter() - start
    kernels = {variant: mithral.compile(model) for variant, model in models.items()}
    rows = np.resize(problem.test, (TIMED_ROWS, problem.test.shape[1]))
    row_major, column_major = median_times(kernels, rows), median_times(kernels, np.asfortranarray(rows))
    results = {}
    for variant, model in models.items():
        nmse, agreement = judge(kernels[variant], problem)
        sizes = cache_lines(model), int(model.lut.max(initial=0))
        times = row_major[variant], column_major[variant]
        results[variant] = Result(
            problem.name, variant, n_codebooks, nmse, agreement, training[variant], *sizes, *times
        )
    return results


def judge(kernel, problem):
    """(1 - R2, agreement) on the test rows, against the exact product in float64."""
    exact = problem.test.astype(np.float64) @ problem.weights + problem.bias
    y = kernel(problem.test)
    nmse = np.sum((y - exact) ** 2) / np.sum((exact - exact.mean(axis=0)) ** 2)
    return float(nmse), float(np.mean(y.argmax(axis=1) == exact.argmax(axis=1)))


def cache_lines(model):
    """Cache lines of a row-major row, aligned to one, that hold a linear dim, or a column of a split that has an effect."""
    levels = [model.thresholds[:, 2**level - 1 : 2 ** (level + 1) - 1] for level in range(model.depth)]
    splits = np.stack([np.isfinite(thresholds).any(axis=1) for thresholds in levels], axis=1)  # (C, L)
    return len(np.unique(np.concatenate([model.split_dims[splits], model.linear_dims]) * 4 // 64))


def median_times(kernels, rows):
    """{variant: seconds per call}; each takes its turn in every round, so that busy neighbours slow down all alike."""
    out = {variant: kernel(rows) for variant, kernel in kernels.items()}
    times = {variant: [] for variant in kernels}
    for _ in range(TIMED_ROUNDS):
        for variant, kernel in kernels.items():
            start = time.perf_counter()
            kernel(rows, out=out[variant])
            times[variant].append(time.perf_counter() - start)
    return {variant: float(np.median(t)) for variant, t in times.items()}


def ratio(results, variant, reference, field):
    """The variant's field over the reference's, of {variant: Result} at one C; None without the reference."""
    if reference not in results:
        return None
    return getattr(results[variant], field) / getattr(results[reference], field)


def print_results(results):
    for variant, r in results.items():
        ratios = [
            ratio(results, variant, PUBLISHED, "nmse"),
            ratio(results, variant, DEFAULT, "row_major"),
            ratio(results, variant, DEFAULT, "column_major"),
        ]
        to_published, row, column = ["-" if x is None else f"{x:.2f}" for x in ratios]
        print(
            f"{r.n_codebooks:>3}  {variant:<15}{r.nmse:>8.4f}{to_published:>13}{r.agreement:>11.3f}{r.training:>10.1f}"
            f"{r.cache_lines:>7}{r.max_entry:>7}{row:>7}{column:>8}"
        )
    print(flush=True)


def run(problem, options):
    """{variant: Result} for each C, printed as they come."""
    (n, d), m, n_test = problem.train.shape, problem.weights.shape[1], len(problem.test)
    print(f"== {problem.name}: {problem.title}; {d} -> {m}, {n} training rows, {n_test} test rows, seed {options.seed}")
    print("  C  variant            1-R2  / published  agreement  training  lines  entry    row  column")
    variants = [v for v in options.variants if v != FOR_CLASSIFIERS or problem.is_classifier]
    groups = []
    for n_codebooks in options.codebooks:
        groups.append(evaluate(problem, variants, n_codebooks, options.seed))
        print_results(groups[-1])
    return groups


def verdict(problem, groups):
    """One line: the worst ratio of the problem against the goal."""
    ratios = [
        (ratio(results, DEFAULT, PUBLISHED, "nmse"), results[DEFAULT].n_codebooks)
        for results in groups
        if {DEFAULT, PUBLISHED} <= set(results) and results[DEFAULT].n_codebooks in GOAL_CODEBOOKS
    ]
    if not ratios:
        return f"{problem.name:<10} not judged: needs {PUBLISHED} and {DEFAULT} at some C of 8 to 64"
    worst, n_codebooks = max(ratios)
    goal = GOAL_STRUCTURED if problem.is_structured else GOAL
    outcome = "met" if worst <= goal else "NOT met"
    note = "" if problem.is_structured else "; white noise: no method can win"
    return f"{problem.name:<10} {worst:.2f} at C = {n_codebooks:<3} goal {goal:.2f} {outcome}{note}"


def codebooks(text):
    count = int(text)
    if not 1 <= count <= 256:
        raise argparse.ArgumentTypeError(f"{count} codebooks; allowed: 1 to 256")
    return count


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for flag, names in (("--problems", list(PROBLEMS)), ("--variants", [PUBLISHED, *VARIANTS])):
        text = f"of {', '.join(names)}; default: all"
        parser.add_argument(flag, nargs="+", choices=names, default=names, metavar="NAME", help=text)
    parser.add_argument("--codebooks", type=codebooks, nargs="+", default=[4, 8, 16, 32, 64], metavar="C")
    parser.add_argument("--seed", type=int, default=0, help="of problems, classifier and trainer (default: 0)")
    parser.add_argument("--plot", type=pathlib.Path, metavar="FILE", help="save 1-R2 and agreement over C as a PNG")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="save all results")
    return parser.parse_args()


def main():
    options = parse_options()
    start = time.perf_counter()
    results, verdicts, classifiers = [], [], []
    with threadpool_limits(1):  # the last bits of a BLAS's sums depend on its threads
        for name in options.problems:
            problem = PROBLEMS[name](options.seed)
            groups = run(problem, options)
            verdicts.append(verdict(problem, groups))
            classifiers += [name] * problem.is_classifier
            results += [result for group in groups for result in group.values()]
    print("1-R2 of mithral over the published trainer's, the worst of C = 8 to 64:")
    print("\n".join(verdicts))
    print(f"{time.perf_counter() - start:.0f} seconds")
    if options.json:
        options.json.write_text(json.dumps([result._asdict() for result in results], indent=1) + "\n")
    if options.plot:
        save_plot(results, classifiers, options.plot)


if __name__ == "__main__":
    main()
