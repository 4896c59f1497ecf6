"""Runs bench/kernel_bench and says how near kernels are to what the hardware can do: a table, plots and the figures.

    make bench                                                   everything: half an hour
    make bench QUICK=1                                           C = 16, fewer repetitions: five minutes
    .venv/bin/python bench/report.py [--quick] [--groups 10000x512x10 scan] [--output build/bench/report]
    .venv/bin/python bench/report.py --from build/bench/report/bench.json

Writes bench.json (Google Benchmark's, of all groups together), report.md and plots. Every group (a shape, "scan",
"neighbours", "alignment") runs by itself, in random order, so that kernels, the libraries they are compared with and
the limits of the core are measured beside one another, whatever else the machine does meanwhile.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import time
from typing import NamedTuple

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from report_data import ReportError, read_run  # noqa: E402
from report_tables import markdown  # noqa: E402

ROOT = pathlib.Path(__file__).parents[1]
PROGRAM = ROOT / "build/bench/bench/kernel_bench"
OUTPUT = ROOT / "build/bench/report"


class Effort(NamedTuple):
    repetitions: int
    min_time: float  # seconds a repetition
    names: str  # what follows the group in the names of benchmarks


FULL = Effort(5, 0.03, ".*")
QUICK = Effort(3, 0.01, r"(limit|exact|(.*/)?C16)/.*")


def list_groups(program):
    """First parts of the benchmarks' names, in the program's order."""
    listing = subprocess.run([program, "--benchmark_list_tests"], check=True, stdout=subprocess.PIPE, text=True)
    return list(dict.fromkeys(line.split("/")[0] for line in listing.stdout.split()))


def run_group(program, group, effort):
    """Google Benchmark's JSON, parsed."""
    command = [
        program,
        f"--benchmark_filter=^{group}/({effort.names})$",
        f"--benchmark_repetitions={effort.repetitions}",
        f"--benchmark_min_time={effort.min_time}",
        "--benchmark_enable_random_interleaving=true",
        "--benchmark_format=json",
    ]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def run_all(program, groups, effort, path):
    """The groups' JSON in one, which is at `path` after each: a run that is stopped is not lost."""
    merged = {"context": {}, "benchmarks": []}
    for index, group in enumerate(groups):
        start = time.monotonic()
        data = run_group(program, group, effort)
        merged["context"] = merged["context"] or data["context"]
        merged["benchmarks"] += [b for b in data["benchmarks"] if b["run_type"] == "iteration"]
        path.write_text(json.dumps(merged, indent=1))
        print(f"{index + 1} of {len(groups)}: {group}, {time.monotonic() - start:.0f} s", file=sys.stderr)
    return merged


def measure_python():
    """What bench/call_overhead.py measures, where the package is installed."""
    try:
        import call_overhead
    except ImportError as error:
        print(f"report: no calls from Python: {error}", file=sys.stderr)
        return None
    return {"shape": call_overhead.SHAPE, "us": call_overhead.measure()}


def measure(args, path):
    """Runs everything asked for and writes it to `path`. Raises ReportError."""
    if not args.program.exists():
        raise ReportError(f"{args.program} is not there: make bench builds it")
    known = list_groups(args.program)
    unknown = [group for group in args.groups or [] if group not in known]
    if unknown:
        raise ReportError(f"unknown group {unknown[0]!r}; allowed: {', '.join(known)}")
    try:
        merged = run_all(args.program, args.groups or known, QUICK if args.quick else FULL, path)
    except subprocess.CalledProcessError as error:
        raise ReportError(f"{args.program} failed with status {error.returncode}: {error.stderr or ''}") from None
    merged["python"] = measure_python()
    path.write_text(json.dumps(merged, indent=1))


def write_report(run, folder):
    """report.md, with the plots that the run has something for."""
    from report_plot import save_plots

    plots = save_plots(run, folder)
    text = markdown(run) + "".join(f"\n![{name}]({name})\n" for name in plots)
    (folder / "report.md").write_text(text)
    return text


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="C = 16 only, fewer repetitions")
    parser.add_argument("--groups", nargs="+", help="only these: first parts of the benchmarks' names")
    parser.add_argument("--from", dest="source", type=pathlib.Path, help="a bench.json of an earlier run")
    parser.add_argument("--program", type=pathlib.Path, default=PROGRAM, help="kernel_bench")
    parser.add_argument("--output", type=pathlib.Path, default=OUTPUT, help="folder to write to")
    args = parser.parse_args(argv)
    try:
        args.output.mkdir(parents=True, exist_ok=True)
        source = args.source or args.output / "bench.json"
        if not args.source:
            measure(args, source)
        run = read_run(source.read_text(), source)
        write_report(run, args.output)
    except (ReportError, OSError) as error:
        print(f"report: {error}", file=sys.stderr)
        return 1
    for name, reason in run.missing_libraries().items():
        print(f"report: {name} could not run: {reason}", file=sys.stderr)
    print(args.output / "report.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
