"""What the loops of kernels cost on CPUs that are not at hand, as llvm-mca sees it.

    make static-cost
    .venv/bin/python bench/static_cost.py [--cpus znver4] [--depths 4 6 8] [--entries 255] [--json static_cost.json]

Every loop's bytes are disassembled by llvm-mc, simulated by llvm-mca, and weighted with how often the loop runs for
many rows. Columns of the table:

    block         rows that a round of the scan's or the encoder's innermost code stands for: it differs between ISAs
    cycles/block  for all outputs (scans) or codebooks (encode)
    cycles/item   a look-up of one row, codebook and output (scans), or a code of one row and codebook (encode):
                  comparable between ISAs
    of avx2       cycles/item over those of avx2 on the same CPU
    uops/item     micro-operations, as the CPU's model counts them
    busiest       the resource that the hottest loop loads most, and its share of the loop's cycles; far below 100 %
                  where latencies or the width of the front end are the limit

What llvm-mca does not know: caches (every access hits L1, and no store feeds a later load), branch prediction
(perfect), alignment and lines that an access straddles, the decoder, clock speeds (AVX-512 may lower them). Loops run
many times in its view; the start of short ones costs more. Its models are as good as their authors' data. LLVM 19's
doubt themselves in places: znver4 gives `vpshufb` of 256 bits and `vpermb` between registers half the throughput that
they have with a memory operand, and 512-bit `vpdpbusd` one in two cycles; icelake-server gives 512-bit `vpaddb` three a
cycle, as many as of 256 bits, sapphirerapids two. So: ratios between ISAs on one CPU rather than times, and with
suspicion on znver4.

Kernels are compiled as on this host, except for the ISA; its caches and prefetching play no role in the loops of encode
and scan but for the number of outputs that a tile has.
"""

import argparse
import json
import shutil
import subprocess
from typing import NamedTuple

import numpy as np
from listing_loops import read_kernel, rows_of_block

import mithral

ROUTINES = ("encode", "scan_to_columns", "scan_to_rows")
BASE_ISA = "avx2"

# llvm-mca's name of each CPU, and the ISAs that it runs.
CPUS = {
    "haswell": ("sse41", "avx2"),
    "skylake-avx512": ("sse41", "avx2", "avx512"),
    "icelake-server": ("sse41", "avx2", "avx512", "avx512_vbmi"),
    "sapphirerapids": ("sse41", "avx2", "avx512", "avx512_vbmi"),
    "znver3": ("sse41", "avx2"),
    "znver4": ("sse41", "avx2", "avx512", "avx512_vbmi"),
}

N_ROWS = 4096
N_FEATURES = 256
SIMULATED_INSTRUCTIONS = 50_000
ROUNDS = (20, 500)  # of a loop: at least, at most


class Simulation(NamedTuple):
    """One round of a loop."""

    cycles: float
    uops: float
    pressure: dict  # resource -> cycles that it is busy


class Cost(NamedTuple):
    """One routine on one CPU."""

    n_codebooks: int
    n_outputs: int
    depth: int
    entries: int  # the largest table entry
    isa: str
    cpu: str
    routine: str
    block_rows: int
    cycles_per_block: float
    cycles_per_item: float
    uops_per_item: float
    busiest: str
    busy: float


def random_model(n_codebooks, n_outputs, depth, entries):
    """Distinct thresholds and full-range tables: nothing that a kernel could leave out."""
    rng = np.random.default_rng(0)
    leaves = 2**depth
    return mithral.Model(
        split_dims=rng.integers(0, N_FEATURES, (n_codebooks, depth), dtype=np.int32),
        thresholds=rng.normal(size=(n_codebooks, leaves - 1)).astype(np.float32),
        lut=rng.integers(0, entries + 1, (n_codebooks, leaves, n_outputs), dtype=np.uint8),
        scale=np.ones(n_outputs, np.float32),
        offset=np.zeros(n_outputs, np.float32),
        n_features=N_FEATURES,
    )


def run_tool(command, text):
    result = subprocess.run(command, input=text, capture_output=True, text=True)
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}:\n{result.stderr}")
    return result.stdout


def disassemble(instructions, llvm):
    """The assembly of each instruction, from its bytes alone."""
    lines = "\n".join(",".join(f"0x{byte:02x}" for byte in instruction.code) for instruction in instructions)
    output = run_tool([f"llvm-mc-{llvm}", "--disassemble", "-triple=x86_64"], lines)
    assembly = [line.strip() for line in output.splitlines() if line.strip() not in ("", ".text")]
    if len(assembly) != len(instructions):
        raise RuntimeError(f"{len(instructions)} instructions became {len(assembly)} lines:\n{output}")
    return assembly


def simulate(loops, cpu, llvm):
    """Each of the loops (lists of lines of assembly) on its own."""
    rounds = SIMULATED_INSTRUCTIONS // max(len(loop) for loop in loops)
    rounds = min(max(rounds, ROUNDS[0]), ROUNDS[1])
    text = "".join("# LLVM-MCA-BEGIN\n" + "\n".join(loop) + "\n# LLVM-MCA-END\n" for loop in loops)
    command = [f"llvm-mca-{llvm}", "-mtriple=x86_64", f"-mcpu={cpu}", "-json", f"-iterations={rounds}"]
    return [read_simulation(*region) for region in regions(json.loads(run_tool(command, text)))]


def regions(output):
    """(names of resources, figures) of each; units of one resource are numbered by a control character."""
    names = [name[:-1] + str(ord(name[-1])) if name[-1] < " " else name for name in output["TargetInfo"]["Resources"]]
    return [(names, region) for region in output["CodeRegions"]]


def read_simulation(resources, region):
    """llvm-mca's figures per round; the pressure of a whole round stands behind that of the instructions."""
    summary = region["SummaryView"]
    whole = len(region["Instructions"])
    pressure = {
        resources[entry["ResourceIndex"]]: entry["ResourceUsage"]
        for entry in region["ResourcePressureView"]["ResourcePressureInfo"]
        if entry["InstructionIndex"] == whole
    }
    rounds = summary["Iterations"]
    return Simulation(summary["TotalCycles"] / rounds, summary["TotaluOps"] / rounds, pressure)


def routine_cost(sections, cpu, llvm):
    """Cycles, micro-operations, and the busiest resource of the loop that takes most of the time."""
    loops = [section for section in sections[1:] if section.executions > 0]
    simulations = simulate([disassemble(loop.instructions, llvm) for loop in loops], cpu, llvm)
    cycles = [loop.executions * simulation.cycles for loop, simulation in zip(loops, simulations)]
    uops = sum(loop.executions * simulation.uops for loop, simulation in zip(loops, simulations))
    hottest = simulations[cycles.index(max(cycles))]
    busiest = max(hottest.pressure, key=hottest.pressure.get)
    return sum(cycles), uops, busiest, hottest.pressure[busiest] / hottest.cycles


def costs(args, depth, entries):
    """Every ISA, CPU and routine for one model."""
    model = random_model(args.codebooks, args.outputs, depth, entries)
    for isa in mithral.isas():
        kernel = mithral.compile(model, isa=isa)
        block_rows = rows_of_block(kernel)
        n_blocks = N_ROWS // block_rows
        routines = read_kernel(kernel, {"n_blocks": n_blocks}, ROUTINES)
        for cpu in args.cpus:
            if isa not in CPUS[cpu]:
                continue
            for routine in ROUTINES:
                cycles, uops, busiest, busy = routine_cost(routines[routine], cpu, args.llvm)
                items = N_ROWS * args.codebooks * (1 if routine == "encode" else args.outputs)
                yield Cost(
                    n_codebooks=args.codebooks,
                    n_outputs=args.outputs,
                    depth=depth,
                    entries=entries,
                    isa=isa,
                    cpu=cpu,
                    routine=routine,
                    block_rows=block_rows,
                    cycles_per_block=cycles / n_blocks,
                    cycles_per_item=cycles / items,
                    uops_per_item=uops / items,
                    busiest=busiest,
                    busy=busy,
                )


def table(rows):
    """Markdown: the ISAs of each routine and CPU together."""
    base = {(row.routine, row.cpu): row.cycles_per_item for row in rows if row.isa == BASE_ISA}
    lines = [
        "| routine | CPU | ISA | block | cycles/block | cycles/item | of avx2 | uops/item | busiest |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in sorted(rows, key=lambda row: (ROUTINES.index(row.routine), list(CPUS).index(row.cpu))):
        lines.append(
            f"| {row.routine} | {row.cpu} | {row.isa} | {row.block_rows} | {row.cycles_per_block:.0f} "
            f"| {row.cycles_per_item:.4f} | {row.cycles_per_item / base[row.routine, row.cpu]:.2f} "
            f"| {row.uops_per_item:.4f} | {row.busiest} {row.busy:.0%} |"
        )
    return "\n".join(lines)


def integer(least, most, step=1):
    """A type for argparse."""

    def parse(text):
        value = int(text)
        if not least <= value <= most or value % step:
            raise argparse.ArgumentTypeError(f"{value}; allowed: {least} to {most}" + f" in steps of {step}" * (step > 1))
        return value

    return parse


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cpus", nargs="+", choices=CPUS, default=list(CPUS))
    parser.add_argument("--codebooks", type=integer(4, 256, step=4), default=16, help="a multiple of 4")
    parser.add_argument("--outputs", type=integer(1, 10_000), default=64)
    parser.add_argument("--depths", type=integer(1, 8), nargs="+", default=[4, 8])
    parser.add_argument(
        "--entries", type=integer(1, 255), nargs="+", default=[63], help="largest table entries: 255 needs 8 bits"
    )
    parser.add_argument("--llvm", default="19", help="version of llvm-mc and llvm-mca")
    parser.add_argument("--json", help="file for all figures")
    args = parser.parse_args()
    if not shutil.which(f"llvm-mca-{args.llvm}"):
        parser.error(f"llvm-mca-{args.llvm} is not installed: `make static-cost` installs what is needed")

    everything = []
    for depth in args.depths:
        for entries in args.entries:
            rows = list(costs(args, depth, entries))
            print(f"\nC = {args.codebooks}, M = {args.outputs}, depth {depth}, table entries up to {entries}\n")
            print(table(rows), flush=True)
            everything += [row._asdict() for row in rows]
    if args.json:
        with open(args.json, "w") as file:
            json.dump(everything, file, indent=1)


if __name__ == "__main__":
    main()
