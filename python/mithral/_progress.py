"""A progress bar of one line on stderr."""

from __future__ import annotations

import sys
import time
from typing import TextIO


class ProgressBar:
    """Redraws one line on a terminal; elsewhere (a log file, a pipe) it writes one line when it is done."""

    WIDTH = 30
    INTERVAL = 0.05  # seconds between redraws

    def __init__(self, label: str, stream: TextIO | None = None) -> None:
        self._label = label
        self._stream = stream if stream is not None else sys.stderr
        self._is_terminal = self._stream.isatty()
        self._start = time.monotonic()
        self._last_drawn = float("-inf")

    def update(self, done: int, total: int) -> None:
        now = time.monotonic()
        if self._is_terminal and (done >= total or now - self._last_drawn >= self.INTERVAL):
            self._last_drawn = now
            filled = self.WIDTH * done // max(total, 1)
            bar = "#" * filled + "." * (self.WIDTH - filled)
            self._stream.write(f"\r{self._label} [{bar}] {done}/{total}")
            self._stream.flush()

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, exception_type: object, *_: object) -> None:
        outcome = "done" if exception_type is None else "stopped"
        line = f"{self._label}: {outcome} after {time.monotonic() - self._start:.1f} s"
        self._stream.write(f"\r{line:<{self.WIDTH + len(self._label) + 20}}\n" if self._is_terminal else f"{line}\n")
        self._stream.flush()
