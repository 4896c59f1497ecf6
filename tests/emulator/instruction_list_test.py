"""instruction_check.c tries every instruction that the AVX-512 backends emit for a vector operation."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def emitted():
    return {
        mnemonic
        for backend in (ROOT / "jit").glob("avx512*_backend.h")
        for mnemonic in re.findall(r"MITHRAL_INS\(as_, (\w+)", backend.read_text())
    }


def test_every_emitted_instruction_is_checked():
    checked = set(re.findall(r'"(\w+)[ "]', (Path(__file__).parent / "instruction_check.c").read_text()))
    assert emitted(), "no instruction found in the backends"
    assert not emitted() - checked
