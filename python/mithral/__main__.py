"""The command line: python -m mithral."""

from __future__ import annotations

import argparse
import sys

from . import UnsupportedTargetError, __version__, demo


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m mithral", description="Mithral compiles a fixed matrix into an x86 kernel."
    )
    parser.add_argument("--version", action="version", version=f"mithral {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    demo.add_command(commands)
    options = parser.parse_args(arguments)
    try:
        return options.run(options)
    except (UnsupportedTargetError, ValueError, OSError, MemoryError) as error:
        print(f"{parser.prog}: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\n{parser.prog}: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
