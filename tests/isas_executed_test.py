"""The summary of `make test` says which ISAs were executed, and fails when one was not."""

from isas_executed import report

NATIVE = "ISAs known: sse41 avx2 avx512\nISAs executed: sse41 avx2\n"
EMULATED = "ISAs executed (emulated): avx512\n"
SKIPPED = "emulator: skipped, because bochs is not installed\n"


def test_every_isa_was_executed():
    assert report(NATIVE + EMULATED) == ("ISAs executed: sse41 avx2 avx512(emulated)", True)


def test_an_isa_that_this_cpu_runs_is_not_called_emulated():
    assert report(NATIVE + EMULATED + "ISAs executed (emulated): avx2\n") == report(NATIVE + EMULATED)


def test_an_isa_was_not_executed():
    assert report(NATIVE) == ("ISAs executed: sse41 avx2; NOT EXECUTED: avx512", False)


def test_an_isa_could_not_be_executed():
    text, good = report(NATIVE + SKIPPED)
    assert good and text.endswith(f"NOT EXECUTED: avx512 ({SKIPPED.strip()})")


def test_a_log_without_the_sweep_proves_nothing():
    assert report("") == ("ISAs executed: none", False)
