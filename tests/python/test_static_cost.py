"""Reading loops from listings, and llvm-mca's figures, for bench/static_cost.py."""

import pathlib
import re
import sys

import numpy as np
import pytest
from models import random_model

import mithral

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "bench"))
import static_cost  # noqa: E402
from listing_loops import LISTING, read_kernel, rows_of_block, split  # noqa: E402


class Nested:
    """A kernel of one routine. Its listing leaves out operation 2, which needs no instruction."""

    def program(self):
        return """\
program scan for avx2(codes, y, stride, n_blocks): 9 operations, 1 constants
  p0 = arg 3  ; n_blocks
  p1 = shr_imm p0, 2
  p2 = add_imm p1, 0
  loop_begin p2
    p3 = set 15
    p4 = arg 1  ; y
    loop_begin p3
      store [p4], v0
    loop_end p3
  loop_end p2
"""

    def listing(self):
        return """\
; scan for avx2: 63 bytes of code, 64 with constants; 1 of 16 vector registers
; 0: p0 = arg 3  ; n_blocks
     0  488b4718  mov rax, [rdi+24]
; 1: p1 = shr_imm p0, 2
     4  48c1e802  shr rax, 2
; 3: loop_begin p2
     8  4885c0  test rax, rax
     b  0f842a000000  jz end_3
    11  6690  (padding)
; what stands here is a note
; 4: p3 = set 15
    13  b90f000000  mov rcx, 15
; 5: p4 = arg 1  ; y
    18  488b5708  mov rdx, [rdi+8]
; 6: loop_begin p3
    1c  4885c9  test rcx, rcx
    1f  0f840d000000  jz end_6
; 7: store [p4], v0
    25  c5fc1102  vmovups [rdx], ymm0
; 8: loop_end p3
    29  48ffc9  dec rcx
    2c  0f85f3ffffff  jnz loop_6
; 9: loop_end p2
    32  48ffc8  dec rax
    35  0f85d8ffffff  jnz loop_3
    3b  c5f877  vzeroupper
    3e  c3  ret
"""


def texts(section):
    return [instruction.text.split(" ")[0] for instruction in section.instructions]


def test_loops_run_as_often_as_their_counters_say():
    outside, outer, inner = read_kernel(Nested(), {"n_blocks": 11}, ["scan"])["scan"]
    assert [outside.executions, outer.executions, inner.executions] == [1, 2, 30]
    assert texts(outside) == ["mov", "shr", "test", "jz", "vzeroupper", "ret"]
    assert texts(outer) == ["mov", "mov", "test", "jz", "dec", "jnz"]
    assert texts(inner) == ["vmovups", "dec", "jnz"]
    assert inner.instructions[0].code == bytes.fromhex("c5fc1102")


def test_a_loop_over_an_unknown_count_is_refused():
    with pytest.raises(ValueError, match="does not follow from the arguments"):
        read_kernel(Nested(), {"n_rows": 11}, ["scan"])


@pytest.mark.parametrize("depth", range(1, 9))
@pytest.mark.parametrize("isa", mithral.isas())
def test_every_instruction_of_a_kernel_is_in_one_section(isa, depth):
    kernel = mithral.compile(random_model(np.random.default_rng(depth), n_codebooks=8, depth=depth), isa=isa)
    names = ("stage_rows", *static_cost.ROUTINES)
    listings = split(kernel.listing(), LISTING)
    sizes = {name: int(size) for name, size in re.findall(r"; (\w+) for \w+: (\d+) bytes of code", kernel.listing())}
    for name, sections in read_kernel(kernel, {"n_blocks": 4, "n_vectors": 4}, names).items():
        n_bytes = sum(len(i.code) for section in sections for i in section.instructions)
        padding = re.findall(r"^ *[0-9a-f]+  ([0-9a-f]+)  \(padding\)$", "\n".join(listings[name]), re.MULTILINE)
        assert n_bytes + sum(len(code) // 2 for code in padding) == sizes[name]


# The layouts of codegen/program/code_layout.h: four rows to a lane, or one where four codebooks share it.
@pytest.mark.parametrize(
    ("isa", "depth", "rows"),
    [("sse41", 4, 16), ("avx2", 4, 32), ("avx512", 4, 64), ("avx512_vbmi", 4, 16), ("avx512_vbmi", 5, 64)],
)
def test_rows_of_a_block(isa, depth, rows):
    model = static_cost.random_model(n_codebooks=8, n_outputs=4, depth=depth, entries=255)
    assert rows_of_block(mithral.compile(model, isa=isa)) == rows


def test_figures_of_llvm_mca_are_per_round():
    region = {
        "Instructions": ["vpaddb\t%ymm1, %ymm2, %ymm2", "decq\t%rsi"],
        "SummaryView": {"TotalCycles": 250, "TotaluOps": 400, "Iterations": 100},
        "ResourcePressureView": {
            "ResourcePressureInfo": [
                {"InstructionIndex": 0, "ResourceIndex": 1, "ResourceUsage": 9},
                {"InstructionIndex": 2, "ResourceIndex": 0, "ResourceUsage": 0.5},
                {"InstructionIndex": 2, "ResourceIndex": 1, "ResourceUsage": 2},
            ]
        },
    }
    assert static_cost.read_simulation(["p0", "p1"], region) == (2.5, 4.0, {"p0": 0.5, "p1": 2})
