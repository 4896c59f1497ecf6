"""bench/report.py on a made-up run: no clock."""

import copy
import json
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "bench"))
import report  # noqa: E402
from report_data import Limits, read_run  # noqa: E402
from report_tables import markdown, neighbour_ratios  # noqa: E402

SHAPE = "1000x512x10"


def repetitions(name, times, unit="us", **counters):
    return [
        {"name": name, "run_name": name, "run_type": "iteration", "cpu_time": t, "time_unit": unit, **counters}
        for t in times
    ]


def limits(group):
    """1 GB/s in the smaller buffer, 0.25 in the larger; non-temporal stores reach 0.5 there."""
    rates = {
        "read/1024": 1e9,
        "read/1048576": 0.25e9,
        "write/1024": 1e9,
        "write/1048576": 0.25e9,
        "write_nt/1024": 0.5e9,
        "write_nt/1048576": 0.5e9,
        "lookup_16/avx2": 1e9,
        "lookup_64/avx512_vbmi": 2e9,
        "descend/avx2": 1e9,
    }
    return [b for name, rate in rates.items() for b in repetitions(f"{group}/limit/{name}", [1], per_second=rate)]


def small_run():
    """Google Benchmark's JSON of two kernels, a library, one that is missing, and what else kernel_bench measures."""
    work = {"read_bytes": 512, "write_bytes": 512, "lookups": 4000, "descents": 2000}
    benchmarks = limits(SHAPE)
    benchmarks += repetitions(f"{SHAPE}/exact/eigen/float32/rows", [90, 100, 800])
    benchmarks += repetitions(f"{SHAPE}/exact/eigen/float32/columns", [50], "us")
    benchmarks += repetitions(f"{SHAPE}/exact/onednn/int8/rows", [0.02], "ms")
    benchmarks += repetitions(f"{SHAPE}/C16/call/jit-avx2/columns", [5], **work)
    benchmarks += repetitions(f"{SHAPE}/C16/call/jit-avx2/rows", [8], **work)
    benchmarks += repetitions(f"{SHAPE}/C16/call/generic/columns", [15], **work)
    benchmarks += repetitions(f"{SHAPE}/C16/call/generic/rows", [12], **work)
    benchmarks += repetitions(f"{SHAPE}/C16/encode-rows/avx2", [2], descents=1000)
    benchmarks += repetitions(f"{SHAPE}/C16/scan-rows/avx2", [6], lookups=4000)
    benchmarks += limits("scan") + repetitions("scan/C16/M10/bits6/rows/avx2", [3], **work)
    benchmarks += limits("encode") + repetitions("encode/C16/float32/avx2", [8], **work)
    benchmarks += repetitions("encode/C16/int8/avx2", [2], **work)
    for n_rows, times in ((1023, [1023]), (1024, [1433.6, 1536, 2000]), (1025, [1025])):
        benchmarks += repetitions(f"neighbours/N/{n_rows}x300x100/C16/jit-avx2/rows", times)
    for offset, us in ((0, 4), (16, 6)):
        benchmarks += repetitions(f"alignment/{offset}/{SHAPE}/C16/jit-avx2/rows", [us])
    for side, times in (("with", [2, 4, 5]), ("without", [9, 10, 12])):
        benchmarks += repetitions(f"specialisation/byte-sums/{SHAPE}/C16/columns/avx2/{side}", times)
    missing = {"name": f"{SHAPE}/exact/blis/float32/rows", "error_occurred": True, "error_message": "no libblis.so.4"}
    return {
        "context": {"cpu": "a CPU", "isa": "avx2", "caches": [{"type": "Unified", "level": 2, "size": 4096}]},
        "benchmarks": [*benchmarks, missing],
        "python": {"shape": SHAPE, "us": {"kernel": 11.0, "kernel_out": 10.0, "numpy": 100.0}},
    }


@pytest.fixture
def run():
    return read_run(json.dumps(small_run()), "small.json")


def rows_of(text, section):
    """Cells of the section's last table, without its header."""
    lines = text.split(f"# {section}")[1].split("\n#")[0].splitlines()
    table = [line for line in lines if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def test_times_are_medians_in_microseconds(run):
    assert run.us(f"{SHAPE}/exact/eigen/float32/rows") == 100
    assert run.us(f"{SHAPE}/exact/onednn/int8/rows") == 20
    assert run.us("nothing") is None


def test_limits_take_the_bandwidth_of_the_footprint_and_the_best_rates(run):
    core = Limits(run, SHAPE)
    assert core.bandwidth("read", 10) == 1e9
    assert core.bandwidth("read", 32 * 1024) == pytest.approx(0.5e9)
    assert core.bandwidth("read", 1 << 40) == 0.25e9
    bound = core.bound({"read_bytes": 512, "write_bytes": 512, "lookups": 4000, "descents": 2000})
    assert bound.memory == pytest.approx(1.024)
    assert bound.compute == pytest.approx(4.0)
    assert (bound.limit, bound.in_turn, bound.by) == pytest.approx((4.0, 5.024, "compute"))
    large = core.bound({"read_bytes": 1024, "write_bytes": 1 << 20})
    assert large.memory == pytest.approx(1024 / 0.25e3 + (1 << 20) / 0.5e3)
    assert large.by == "memory"


def test_every_call_is_in_the_table_with_its_ratios(run):
    exact, int8, *calls = rows_of(markdown(run), "Calls")
    assert exact[:4] == [f"**{SHAPE}**", "exact: eigen columns", "", "50"]
    assert int8[3] == "20"
    # order, us, faster than exact, in the same order, than int8, than generic, of the limit, of the sum, bound by
    ratios = {(call[1], call[2]): call[3:] for call in calls}
    assert ratios == {
        ("jit-avx2", "columns"): ["5", "10", "10", "4", "3", "0.8", "1", "compute"],
        ("generic", "columns"): ["15", "3.33", "3.33", "1.33", "", "0.267", "0.335", "compute"],
        ("jit-avx2", "rows"): ["8", "6.25", "12.5", "2.5", "1.5", "0.5", "0.628", "compute"],
        ("generic", "rows"): ["12", "4.17", "8.33", "1.67", "", "0.333", "0.419", "compute"],
    }


def test_ratios_below_two_are_explained(run):
    text = markdown(run)
    assert rows_of(text, "Specialised against generic") == [
        ["jit-avx2", "columns", "16", "3", "3", "3", "1"],
        ["jit-avx2", "rows", "16", "1.5", "1.5", "1.5", "1"],
    ]
    # ratio, what it would be at the limit, how much of that there is, the part that is furthest from its own limit
    assert rows_of(text, "Below 2") == [
        [SHAPE, "16", "jit-avx2", "rows", "1.5", "3", "0.5", "scan: 6 us, 33% of its limit"]
    ]


def test_a_limit_that_the_generic_call_is_near_is_the_reason():
    data = small_run()
    for benchmark in data["benchmarks"]:
        if benchmark["name"].startswith(f"{SHAPE}/limit/lookup"):
            benchmark["per_second"] /= 3
    (row,) = rows_of(markdown(read_run(json.dumps(data), "small.json")), "Below 2")
    assert row[-1] == "compute: the generic call is itself at 67% of the limit"


def test_specialisations_are_compared_with_what_lacks_them(run):
    (row,) = rows_of(markdown(run), "What each specialisation buys")
    assert row == ["byte-sums", SHAPE, "columns", "avx2", "4", "10", "2.5", "4.5"]


def test_missing_libraries_are_reported_with_the_reason(run):
    assert run.missing_libraries() == {"blis/float32": "no libblis.so.4"}
    assert "* **blis/float32** could not run: no libblis.so.4" in markdown(run)


def test_parts_scans_neighbours_and_alignment_have_their_tables(run):
    text = markdown(run)
    assert rows_of(text, "Parts of a call")[1][:5] == [SHAPE, "16", "avx2", "scan-rows", "6"]
    assert rows_of(text, "Scans of rows")[0][:6] == ["16", "10", "6", "rows", "avx2", "3"]
    assert rows_of(text, "Codes of columns")[1][:4] == ["int8", "avx2", "2", "4"]
    assert rows_of(text, "X and Y")[1] == [SHAPE, "jit-avx2", "rows", "16", "6", "1.5"]
    (neighbour,) = neighbour_ratios(run)
    assert neighbour == ["N", "1024x300x100", 16, "jit-avx2", "rows", pytest.approx(1.5), pytest.approx(1.4)]
    assert "1 of 1 are above 1.3" in text
    assert rows_of(text, "Powers of two")[0][-2:] == ["1.5", "1.4"]
    assert ["1 KiB", "L2", "1 (1 to 1)", "1 (1 to 1)", "0.5 (0.5 to 0.5)"] in [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()
    ]


def test_what_python_adds_to_a_call(run):
    assert "Python's share is 2.00 us, under the wanted 3 us" in markdown(run)


def test_report_and_plots_are_written_from_a_file(tmp_path, capsys):
    source = tmp_path / "bench.json"
    source.write_text(json.dumps(small_run()))
    assert report.main(["--from", str(source), "--output", str(tmp_path / "out")]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "report.md",
        "speed.png",
        "limit.png",
        "neighbours.png",
    }
    assert "blis/float32 could not run: no libblis.so.4" in capsys.readouterr().err


def broken(change):
    data = copy.deepcopy(small_run())
    change(data)
    return json.dumps(data)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "bench.json is not JSON"),
        ("[]", 'bench.json has no list "benchmarks"'),
        ('{"benchmarks": []}', 'bench.json has no list "benchmarks"'),
        (broken(lambda data: data["benchmarks"].append({})), 'has no "name"'),
        (broken(lambda data: data["benchmarks"][0].update(cpu_time=-1)), '"cpu_time" is -1; allowed: a number above 0'),
        (
            broken(lambda data: data["benchmarks"][0].update(time_unit="h")),
            "\"time_unit\" is 'h'; allowed: ns, us, ms, s",
        ),
        (broken(lambda data: data["benchmarks"][0].update(per_second="x")), "\"per_second\" is 'x'; allowed: a number"),
        (broken(lambda data: data["benchmarks"][0].pop("per_second")), f"{SHAPE}/limit/read/1024 has no per_second"),
        (broken(lambda data: data.update(benchmarks=data["benchmarks"][9:])), f"{SHAPE}: the run has no limits"),
    ],
)
def test_bad_files_are_refused(text, message, tmp_path, capsys):
    (tmp_path / "bench.json").write_text(text)
    assert report.main(["--from", str(tmp_path / "bench.json"), "--output", str(tmp_path / "out")]) == 1
    assert message in capsys.readouterr().err


def test_a_program_that_is_not_there_is_refused(tmp_path, capsys):
    assert report.main(["--program", str(tmp_path / "none"), "--output", str(tmp_path)]) == 1
    assert "none is not there: make bench builds it" in capsys.readouterr().err
