#!/usr/bin/env python3
"""usage: isas_executed.py LOG

Which ISAs' emitted code a run of ctest executed, by the log that it left: natively (kernel_sweep) or on emulated CPUs
(tests/emulator). Fails when there is an ISA of codegen/program/target.h that it did not execute, unless the emulated tests said
why they could not run. What there is and what was executed are lines that the test programs print.
"""

import re
import sys
from pathlib import Path


def names(log, what):
    """The ISAs of all lines "what: isa isa", in the order of their first appearance."""
    lines = re.findall(rf"^{re.escape(what)}:(.*)$", log, re.MULTILINE)
    return list(dict.fromkeys(name for line in lines for name in line.split()))


def report(log):
    """(the text for people, whether every ISA was executed or could not be)."""
    known, native = names(log, "ISAs known"), names(log, "ISAs executed")
    emulated = [isa for isa in names(log, "ISAs executed (emulated)") if isa not in native]
    missing = [isa for isa in known if isa not in native + emulated]
    executed = [isa if isa in native else f"{isa}(emulated)" for isa in known if isa not in missing]
    text = f"ISAs executed: {' '.join(executed) or 'none'}"
    if missing:
        text += f"; NOT EXECUTED: {' '.join(missing)}"
    skipped = re.search(r"^emulator: skipped.*$", log, re.MULTILINE)
    if missing and skipped:
        text += f" ({skipped.group()})"
    return text, bool(known) and (not missing or bool(skipped))


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__.splitlines()[0])
    text, good = report(Path(sys.argv[1]).read_text(errors="replace"))
    print(text)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
