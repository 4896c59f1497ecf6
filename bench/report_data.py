"""What bench/kernel_bench wrote (Google Benchmark's JSON), as medians, limits and the work that a call has to do."""

import json
import math
import re
import statistics
from typing import NamedTuple

MICROSECONDS = {"ns": 1e-3, "us": 1.0, "ms": 1e3, "s": 1e6}
COUNTERS = ("read_bytes", "write_bytes", "lookups", "descents", "products", "per_second", "flops", "code_bytes")


class ReportError(ValueError):
    """A file that no report can be made of."""


class Measurement(NamedTuple):
    """The repetitions of one benchmark."""

    us: float  # median, CPU time of the thread
    least: float  # of the repetitions, us
    counters: dict  # medians, by name


class Run:
    """All benchmarks of one run, by name. `missing`: those that could not run, with the reason. `python`: what
    bench/call_overhead.py measured beside them, or None."""

    def __init__(self, times, missing, context, python=None):
        self.times, self.missing, self.context, self.python = times, missing, context, python

    def groups(self):
        """First parts of the names: shapes, "scan", "neighbours", ..."""
        return list(dict.fromkeys(name.split("/")[0] for name in [*self.times, *self.missing]))

    def shapes(self):
        return [group for group in self.groups() if re.fullmatch(r"\d+x\d+x\d+", group)]

    def find(self, pattern):
        """(match, measurement) of every benchmark whose whole name matches, by name, numbers by their size."""
        matches = [re.fullmatch(pattern, name) for name in self.times]
        for match in sorted(filter(None, matches), key=lambda match: _natural(match[0])):
            yield match, self.times[match[0]]

    def us(self, name):
        """Median, or None where the benchmark is not in this run."""
        return self.times[name].us if name in self.times else None

    def limit_rates(self, group):
        """{"read/4096": bytes a second, "lookup_16/avx2": look-ups a second, ...}"""
        rates = {}
        for match, measurement in self.find(rf"{group}/limit/(.+)"):
            if "per_second" not in measurement.counters:
                raise ReportError(f"{match[0]} has no per_second")
            rates[match[1]] = measurement.counters["per_second"]
        return rates

    def missing_libraries(self):
        """{"openblas/float32": reason}"""
        found = {}
        for name, reason in self.missing.items():
            match = re.fullmatch(r"[^/]+/exact/([^/]+/[^/]+)/[^/]+", name)
            found[match[1] if match else name] = reason
        return found


def _natural(name):
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def read_run(text, source):
    """Google Benchmark's JSON -> Run. source: what to call it in errors. Raises ReportError."""
    try:
        data = json.loads(text)
    except ValueError as error:
        raise ReportError(f"{source} is not JSON: {error}") from None
    benchmarks = data.get("benchmarks") if isinstance(data, dict) else None
    if not isinstance(benchmarks, list) or not benchmarks:
        raise ReportError(f'{source} has no list "benchmarks": write it with kernel_bench --benchmark_format=json')
    repetitions, missing = {}, {}
    for index, entry in enumerate(benchmarks):
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise ReportError(f'{source}: benchmark {index} has no "name"')
        name = entry.get("run_name", entry["name"])
        if entry.get("error_occurred"):
            missing[name] = entry.get("error_message", "no reason given")
        elif entry.get("run_type", "iteration") == "iteration":
            repetitions.setdefault(name, []).append(_one_repetition(entry, f"{source}: {name}"))
    return Run(
        {name: _median(list_) for name, list_ in repetitions.items()},
        missing,
        data.get("context", {}),
        data.get("python"),
    )


def _one_repetition(entry, where):
    unit, time = entry.get("time_unit"), entry.get("cpu_time")
    if unit not in MICROSECONDS:
        raise ReportError(f'{where}: "time_unit" is {unit!r}; allowed: {", ".join(MICROSECONDS)}')
    if not _is_number(time) or time <= 0:
        raise ReportError(f'{where}: "cpu_time" is {time!r}; allowed: a number above 0')
    counters = {name: entry[name] for name in COUNTERS if name in entry}
    for name, value in counters.items():
        if not _is_number(value):
            raise ReportError(f'{where}: "{name}" is {value!r}; allowed: a number')
    us = time * MICROSECONDS[unit]
    return Measurement(us, us, counters)


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _median(repetitions):
    counters = {name: statistics.median(r.counters[name] for r in repetitions) for name in repetitions[0].counters}
    times = [r.us for r in repetitions]
    return Measurement(statistics.median(times), min(times), counters)


class Bound(NamedTuple):
    """The least time that a call's work can take, microseconds."""

    memory: float  # its bytes, at the bandwidths of a buffer as large as all of them
    compute: float  # look-ups, descents and products of bytes, which use the same execution ports

    @property
    def limit(self):
        """Memory can be moved while the core computes: no code can be faster than the longer of the two."""
        return max(self.memory, self.compute)

    @property
    def in_turn(self):
        """What one after the other takes: encoding waits for memory while the scan computes."""
        return self.memory + self.compute

    @property
    def by(self):
        return "memory" if self.memory > self.compute else "compute"


class Limits:
    """What the core can do at most, measured beside the benchmarks of a group."""

    def __init__(self, run, group):
        rates = run.limit_rates(group)
        self.bandwidths = {kind: self._of_kind(rates, kind + "/") for kind in ("read", "write", "write_nt")}
        self.lookups = max((rate for name, rate in rates.items() if re.match(r"lookup_\d+/", name)), default=0)
        self.descents = max(self._of_kind(rates, "descend/").values(), default=0)
        self.products = self._of_kind(rates, "dot/")
        if not (self.bandwidths["read"] and self.bandwidths["write"] and self.lookups and self.descents):
            raise ReportError(f"{group}: the run has no limits ({group}/limit/...); let them run with the rest")

    @staticmethod
    def _of_kind(rates, prefix):
        found = {name[len(prefix) :]: rate for name, rate in rates.items() if name.startswith(prefix)}
        return {int(key) if key.isdigit() else key: found[key] for key in found}

    def bandwidth(self, kind, n_bytes):
        """Bytes a second in a buffer of n_bytes, between those measured by their logarithms."""
        points = sorted(self.bandwidths[kind].items())
        n_bytes = min(max(n_bytes, points[0][0]), points[-1][0])
        for (low, low_rate), (high, high_rate) in zip(points, points[1:]):
            if n_bytes <= high:
                share = math.log(n_bytes / low) / math.log(high / low)
                return low_rate * (high_rate / low_rate) ** share
        return points[-1][1]

    def bound(self, work, isa=None):
        """work: the counters of a benchmark; isa: whose products of bytes are the limit, or the best one's."""
        read, written = work.get("read_bytes", 0), work.get("write_bytes", 0)
        footprint = read + written
        write_rate = max(self.bandwidth(kind, footprint) for kind in ("write", "write_nt") if self.bandwidths[kind])
        memory = read / self.bandwidth("read", footprint) + written / write_rate
        compute = work.get("lookups", 0) / self.lookups + work.get("descents", 0) / self.descents
        if "products" in work:
            compute += work["products"] / self.products.get(isa, max(self.products.values()))
        return Bound(memory * 1e6, compute * 1e6)
