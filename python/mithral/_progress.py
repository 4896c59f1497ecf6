"""Progress bars on stderr, drawn by tqdm."""

from __future__ import annotations

import sys
import time
from typing import Any, TextIO

from tqdm import tqdm


def check_progress(progress: Any) -> None:
    if progress is not None and not isinstance(progress, bool) and not callable(progress):
        raise TypeError(f"progress is {progress!r}; expected None, True or a function of (done, total)")


class ProgressBar:
    """A bar with the time left on a terminal; elsewhere (a log file, a pipe) one line when it is done."""

    def __init__(self, label: str, stream: TextIO | None = None) -> None:
        self._label = label
        self._stream = stream if stream is not None else sys.stderr
        self._start = time.monotonic()
        self._bar = tqdm(
            desc=label,
            file=self._stream,
            disable=None,  # where the stream is not a terminal
            delay=0.1,  # seconds before the bar appears
            smoothing=0,  # the time left follows from the average step: all take about as long
            miniters=1,
            dynamic_ncols=True,
            bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed} elapsed, {remaining} left",
        )

    def update(self, done: int, total: int) -> None:
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def describe(self, label: str) -> None:
        """Changes the text before the bar."""
        self._bar.set_description(label, refresh=False)

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, exception_type: object, *_: object) -> None:
        was_drawn = not self._bar.disable
        self._bar.close()
        if not was_drawn:
            outcome = "done" if exception_type is None else "stopped"
            self._stream.write(f"{self._label}: {outcome} after {time.monotonic() - self._start:.1f} s\n")
            self._stream.flush()
