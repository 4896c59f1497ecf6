"""The Markdown of bench/report.py, section by section, from a Run."""

import re
import statistics

from report_data import Limits

KERNEL = re.compile(r"C(\d+)/call/(jit-\w+|generic)/(rows|columns)")
PARTS = ("stage", "encode-rows", "encode-columns", "scan-rows", "scan-columns")
WANTED_GENERIC_RATIO = 2.0
WANTED_NEIGHBOUR_RATIO = 1.3
WANTED_OVERHEAD_US = 3.0
CACHES = 3  # levels


def markdown(run):
    """The whole report."""
    tables = (calls, specialised, switches, parts, scans, linear_parts, input_types, neighbours, alignment)
    sections = (heading, limits, missing, *tables, overhead)
    return "\n\n".join(text for text in (section(run) for section in sections) if text) + "\n"


def heading(run):
    context = run.context
    return (
        "# Kernels and the hardware's limits\n\n"
        f"{context.get('cpu', 'unknown CPU')}, best ISA {context.get('isa', 'unknown')}, {context.get('date', '')}. "
        "One thread, float32 in and out, outputs reused; medians of CPU time, microseconds. Compare within this run."
    )


def table(header, rows):
    """header: names of the columns; rows: lists of numbers, strings or None."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_text(cell) for cell in line) + " |" for line in lines)


def _text(cell):
    if cell is None:
        return ""
    if not isinstance(cell, float):
        return str(cell)
    return f"{cell:.0f}" if cell >= 100 else f"{cell:.3g}"


def ratio(numerator, denominator):
    return None if numerator is None or not denominator else numerator / denominator


# --- limits


def limits(run):
    """Bandwidths by size and rates by ISA: the median over the groups, and how far they drifted apart."""
    rates = {}
    for group in run.groups():
        for name, rate in run.limit_rates(group).items():
            rates.setdefault(name, []).append(rate / 1e9)
    if not rates:
        return ""
    of_bytes = [name.split("/")[1] for name in rates if name.split("/")[1].isdigit()]
    sizes = sorted({int(size) for size in of_bytes})
    rows = [
        [_size(size), _level(run, size), *(_rate(rates, f"{kind}/{size}") for kind in ("read", "write", "write_nt"))]
        for size in sizes
    ]
    operations = [[name, _rate(rates, name)] for name in sorted(rates) if name.split("/")[1] not in of_bytes]
    return (
        "## Limits\n\nGB/s of one core over a buffer of that size; in brackets the range over the groups of this run, "
        "where the machine drifted.\n\n"
        + table(["buffer", "fits", "read", "write", "write, non-temporal"], rows)
        + "\n\n10^9 look-ups (a byte shuffle, from L1), or levels of trees that a row goes down, a second:\n\n"
        + table(["operation", "rate"], operations)
    )


def _rate(rates, name):
    values = rates.get(name)
    if not values:
        return None
    return f"{statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def _size(n_bytes):
    return f"{n_bytes >> 20} MiB" if n_bytes >= 1 << 20 else f"{n_bytes >> 10} KiB"


def _level(run, n_bytes):
    """The first cache that holds it."""
    for level in range(1, CACHES + 1):
        for cache in run.context.get("caches", []):
            if cache.get("level") == level and cache.get("type") != "Instruction" and n_bytes <= cache.get("size", 0):
                return f"L{level}"
    return "memory"


def missing(run):
    lines = [f"* **{name}** could not run: {reason}" for name, reason in run.missing_libraries().items()]
    return "## Missing\n\n" + "\n".join(lines) if lines else ""


# --- calls


def best_exact(run, shape, dtype, order):
    """(microseconds, "library order") of the fastest exact product of the run, or (None, None)."""
    found = [(m.us, f"{match[1]} {match[2]}") for match, m in run.find(rf"{shape}/exact/([^/]+)/{dtype}/({order})")]
    return min(found, default=(None, None))


def kernels(run, shape):
    """(C, maker, order, Measurement) of every call of a shape, by C, then order, then maker."""
    found = [(int(match[1]), match[2], match[3], m) for match, m in run.find(rf"{shape}/{KERNEL.pattern}")]
    return sorted(found, key=lambda kernel: (kernel[0], kernel[2]))


def calls(run):
    rows = []
    for shape in run.shapes():
        core = Limits(run, shape)
        int8, _ = best_exact(run, shape, "int8", "rows|columns")
        any_order, winner = best_exact(run, shape, "float32", "rows|columns")
        rows.append([f"**{shape}**", f"exact: {winner}", None, any_order, *[None] * 7])
        rows.append([None, "exact, int8", None, int8, *[None] * 7])
        for n_codebooks, maker, order, m in kernels(run, shape):
            bound = core.bound(m.counters)
            generic = run.us(f"{shape}/C{n_codebooks}/call/generic/{order}")
            rows.append(
                [
                    f"C = {n_codebooks}",
                    maker,
                    order,
                    m.us,
                    ratio(any_order, m.us),
                    ratio(best_exact(run, shape, "float32", order)[0], m.us),
                    ratio(int8, m.us),
                    None if maker == "generic" else ratio(generic, m.us),
                    ratio(bound.limit, m.us),
                    ratio(bound.in_turn, m.us),
                    bound.by,
                ]
            )
    header = ["", "", "order", "us", "faster than exact", "than exact, same order", "than int8", "than generic"]
    header += ["of the limit", "of the sum", "bound by"]
    return (
        "## Calls\n\nFaster than: the exact product's time (the best float32 library of the run, in any order, or in "
        "this one; int8 without the rounding of X) over the call's. The limit is the longer of two times: moving the "
        "lines of X, the tables and Y that are needed at the bandwidths of a buffer as large as all of them; and "
        "look-ups and descents at their rates. No code can be faster, because memory moves while the core computes. Of "
        "the sum: the same, one after the other, as encode and scan do.\n\n" + table(header, rows)
    )


# --- specialised against generic


def specialised(run):
    """Emitted against generic, and why not more. The generic kernels are built for AVX2 too: emitted code for less is
    left out."""
    ratios, reasons = {}, []
    for shape in run.shapes():
        core = Limits(run, shape)
        for n_codebooks, maker, order, m in kernels(run, shape):
            generic = run.us(f"{shape}/C{n_codebooks}/call/generic/{order}")
            if generic is None or maker in ("generic", "jit-sse41"):
                continue
            times_faster = generic / m.us
            ratios.setdefault((maker, order, n_codebooks), []).append(times_faster)
            if times_faster < WANTED_GENERIC_RATIO:
                bound = core.bound(m.counters)
                why = _reason(bound, generic) or _most_lost(run, shape, n_codebooks, maker, order, core, m.us)
                reasons.append(
                    [shape, n_codebooks, maker, order, times_faster, generic / bound.limit, bound.limit / m.us, why]
                )
    if not ratios:
        return ""
    rows = [[*key, statistics.median(all_), min(all_), max(all_), len(all_)] for key, all_ in sorted(ratios.items())]
    text = "## Specialised against generic\n\n" + table(
        ["", "order", "C", "median over shapes", "least", "most", "shapes"], rows
    )
    if not reasons:
        return text
    header = ["", "C", "maker", "order", "ratio", "at the limit it would be", "of the limit", "why"]
    return f"{text}\n\n### Below {WANTED_GENERIC_RATIO:g}\n\n" + table(header, reasons)


def _reason(bound, generic):
    """Why no kernel could be twice as fast as the generic one, as far as that is so."""
    if generic / bound.limit < WANTED_GENERIC_RATIO:
        return f"{bound.by}: the generic call is itself at {bound.limit / generic:.0%} of the limit"
    if generic / bound.in_turn < WANTED_GENERIC_RATIO:
        return f"memory and computing in turn leave {generic / bound.in_turn:.2f}"
    return None


def _most_lost(run, shape, n_codebooks, maker, order, core, call_us):
    """Encoding, or the rest of the call, whatever scans there: the one that is further, in time, from its limit."""
    isa = maker.removeprefix("jit-")
    encode, scan = (run.times.get(f"{shape}/C{n_codebooks}/{part}-{order}/{isa}") for part in ("encode", "scan"))
    if not (encode and scan):
        return "few rows: fixed work"
    spent = {"encode": encode.us, "scan": call_us - encode.us}
    limits_ = {"encode": core.bound(encode.counters).limit, "scan": core.bound(scan.counters).limit}
    worst = max(spent, key=lambda part: spent[part] - limits_[part])
    return f"{worst}: {spent[worst]:.0f} us, {limits_[worst] / spent[worst]:.0%} of its limit"


def switches(run):
    pattern = r"specialisation/([^/]+)/([^/]+)/C16/(rows|columns)/(\w+)/with"
    rows = []
    for match, m in run.find(pattern):
        without = run.times.get(match[0] + "out")
        if without:
            rows.append([*match.groups(), m.us, without.us, without.us / m.us, without.least / m.least])
    header = ["", "shape", "order of X", "ISA", "us", "us without", "times faster", "by least times"]
    return rows and (
        "## What each specialisation buys\n\nC = 16: emitted code with it, and with it switched off "
        "(bench/specialisations.cpp).\n\n" + table(header, rows)
    )


# --- parts


def parts(run):
    rows = []
    for shape in run.shapes():
        core = Limits(run, shape)
        for match, m in run.find(rf"{shape}/C(\d+)/({'|'.join(PARTS)})/(\w+)"):
            bound = core.bound(m.counters)
            rows.append([shape, int(match[1]), match[3], match[2], m.us, *_rates(m), bound.limit / m.us, bound.by])
    header = ["", "C", "ISA", "part", "us", "GB/s", "look-ups, G/s", "levels, G/s", "of the limit", "bound by"]
    return rows and "## Parts of a call\n\n" + table(header, rows)


def _rates(m):
    """10^9 a second of bytes, look-ups and levels; None of what it does not do."""
    moved = m.counters.get("read_bytes", 0) + m.counters.get("write_bytes", 0)
    work = (moved, m.counters.get("lookups"), m.counters.get("descents"))
    return [amount / m.us / 1e3 if amount else None for amount in work]


def scans(run):
    rows = []
    pattern = r"scan/C(\d+)/M(\d+)/bits(\d)/(rows|columns)/(\w+)"
    for match, m in run.find(pattern):
        bound = Limits(run, "scan").bound(m.counters)
        c, outputs, bits, order, isa = match.groups()
        rows.append([int(c), int(outputs), int(bits), order, isa, m.us, _rates(m)[1], bound.limit / m.us, bound.by])
    header = ["C", "M", "bits", "order", "ISA", "us", "look-ups, G/s", "of the limit", "bound by"]
    return rows and "## Scans of rows whose outputs stay in L2, by the bits of table entries\n\n" + table(header, rows)


def linear_parts(run):
    rows = []
    for match, m in run.find(r"linear/S(\d+)/M(\d+)/([a-z-]+)/(\w+)"):
        dims, outputs, part, isa = match.groups()
        scans_ = part.startswith("scan")
        bound = Limits(run, "linear").bound(m.counters, isa)
        products = m.counters["products"] / m.us / 1e3 if scans_ else None
        of_products = bound.compute / m.us if scans_ else None
        shape = [int(dims), int(outputs) if scans_ else None, part, isa]
        rows.append([*shape, m.us, _rates(m)[0], products, of_products, bound.limit / m.us, bound.by])
    header = ["S", "M", "part", "ISA", "us", "GB/s", "products of bytes, G/s", "of theirs", "of the limit", "bound by"]
    return rows and (
        "## Linear dims\n\nQuantising 10000 rows, whose limit is reading them, and scanning rows whose outputs stay in "
        "L2, whose limit is storing them or the ISA's products of bytes (dot/<ISA> above).\n\n" + table(header, rows)
    )


def input_types(run):
    rows = []
    for match, m in run.find(r"encode/C16/(\w+)/(\w+)"):
        bound = Limits(run, "encode").bound(m.counters)
        floats = run.us(f"encode/C16/float32/{match[2]}")
        gigabytes, _, levels = _rates(m)
        rows.append([*match.groups(), m.us, ratio(floats, m.us), gigabytes, levels, bound.limit / m.us, bound.by])
    header = ["input", "ISA", "us", "times float32's rate", "GB/s", "levels, G/s", "of the limit", "bound by"]
    return rows and "## Codes of columns of every input type\n\n10000 rows, C = 16.\n\n" + table(header, rows)


# --- no pathology


def neighbour_ratios(run):
    """[what is varied, shape, C, maker, order, ratio of medians, ratio of least times]: the time of a power of two, per
    row and output, over the median of that one less and one more."""
    times = {}
    pattern = r"neighbours/(\w+)/(\d+)x(\d+)x(\d+)/C(\d+)/(jit-\w+)/(rows|columns)"
    for match, m in run.find(pattern):
        what, n, d, outputs, n_codebooks, *rest = match.groups()
        shape = (int(n), int(d), int(outputs))
        per_output = shape[0] * shape[2]
        times[(what, shape, int(n_codebooks), *rest)] = (m.us / per_output, m.least / per_output)
    found = []
    for (what, shape, *rest), time in times.items():
        step = [what in (name, "all") for name in "NDM"]
        beside = [
            times.get((what, tuple(size + sign * by for size, by in zip(shape, step)), *rest)) for sign in (-1, 1)
        ]
        if None not in beside:
            ratios = [mine / statistics.median(others) for mine, others in zip(time, zip(*beside))]
            found.append([what, "x".join(map(str, shape)), *rest, *ratios])
    return found


def neighbours(run):
    ratios = neighbour_ratios(run)
    if not ratios:
        return ""
    slow = [row for row in ratios if min(row[-2:]) > WANTED_NEIGHBOUR_RATIO]
    return (
        "## Powers of two beside their odd neighbours\n\nTime per row and output over the median of N, D or M (or all) "
        f"one less and one more. {len(slow)} of {len(ratios)} are above {WANTED_NEIGHBOUR_RATIO:g} by medians and by "
        f"the least times of the repetitions; median {statistics.median(row[-2] for row in ratios):.2f}. Calls on "
        "columns do not depend on D: their ratios show how much is noise. Worst first:\n\n"
        + table(
            ["varied", "shape", "C", "maker", "order", "ratio", "of least times"],
            sorted(ratios, key=lambda row: -row[-2]),
        )
    )


def alignment(run):
    rows = []
    for match, m in run.find(r"alignment/(\d+)/([^/]+)/C16/(jit-\w+)/(rows|columns)"):
        offset, *rest = match.groups()
        aligned = run.us("/".join(["alignment", "0", rest[0], "C16", *rest[1:]]))
        rows.append([*rest, int(offset), m.us, ratio(m.us, aligned)])
    header = ["shape", "maker", "order", "bytes behind a line", "us", "over aligned"]
    return rows and "## X and Y that do not begin at a cache line\n\n" + table(
        header, sorted(rows, key=lambda r: r[:4])
    )


# --- Python


def overhead(run):
    if not run.python:
        return ""
    isa = run.context.get("isa")
    inside = run.us(f"{run.python['shape']}/C16/call/jit-{isa}/rows")
    rows = [[name, us] for name, us in run.python["us"].items()]
    text = f"## From Python\n\n{run.python['shape']}, one row, us a call:\n\n" + table(["call", "us"], rows)
    if inside is None:
        return text
    beyond = run.python["us"]["kernel_out"] - inside
    verdict = "under" if beyond < WANTED_OVERHEAD_US else "NOT under"
    return text + (
        f"\n\nThe same call from C++ takes {inside:.3g} us: Python's share is {beyond:.2f} us, {verdict} the wanted "
        f"{WANTED_OVERHEAD_US:g} us."
    )
