"""instruction_check.c tries every instruction that a backend emits for a vector operation, but those of SSE4.1 and AVX2."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXECUTED_EVERYWHERE = {"sse41_backend.h", "avx2_backend.h"}


def emitted():
    return {
        mnemonic
        for backend in (ROOT / "jit").glob("*_backend.h")
        if backend.name not in EXECUTED_EVERYWHERE
        for mnemonic in re.findall(r"MITHRAL_INS\(as_, (\w+)", backend.read_text())
    }


def test_every_emitted_instruction_is_checked():
    checked = set(re.findall(r'"(\w+)[ "]', (Path(__file__).parent / "instruction_check.c").read_text()))
    assert emitted(), "no instruction found in the backends"
    assert not emitted() - checked
