"""Progress bars: on a terminal, in a file, when training is stopped."""

import io
import re
import time

import numpy as np
import pytest

import mithral
from mithral._progress import ProgressBar


class Terminal(io.StringIO):
    def isatty(self):
        return True

    def frames(self):
        """What was drawn, one text for each time."""
        return [frame.strip() for frame in re.split(r"[\r\n]", self.getvalue()) if frame.strip()]


@pytest.fixture
def samples(rng):
    a = rng.normal(size=(600, 16)).astype(np.float32)
    return a, rng.normal(size=(16, 3)).astype(np.float32)


def seconds(clock):
    return sum(60**power * int(part) for power, part in enumerate(reversed(clock.split(":"))))


def test_a_terminal_shows_the_share_done_and_the_time_left():
    terminal = Terminal()
    with ProgressBar("training", terminal) as bar:
        for step in range(10):
            bar.update(step, 40)
            time.sleep(0.12)
        bar.update(10, 40)
    frames = terminal.frames()
    assert all(frame.startswith("training: ") for frame in frames)
    shares = [int(re.search(r"(\d+)%", frame)[1]) for frame in frames]
    assert shares == sorted(shares) and shares[-1] == 25 and len(set(shares)) > 3
    left = [seconds(re.search(r"(\S+) left", frame)[1]) for frame in frames if "? left" not in frame]
    assert 2 <= left[-1] <= 30, "thirty steps of 0.12 s or, on a busy machine, more"


def test_the_time_left_follows_the_average_step():
    terminal = Terminal()
    with ProgressBar("training", terminal) as bar:  # closing it draws the last frame
        bar.update(0, 100)
        time.sleep(1.0)
        bar.update(50, 100)
        time.sleep(0.6)
        bar.update(51, 100)  # slower for a moment
    elapsed, left = re.search(r"(\S+) elapsed, (\S+) left", terminal.frames()[-2]).groups()
    assert abs(seconds(left) - seconds(elapsed)) <= 1


def test_short_work_draws_nothing():
    terminal = Terminal()
    with ProgressBar("training", terminal) as bar:
        bar.update(1, 1)
    assert terminal.frames() == []


def test_a_bar_that_an_exception_stops_is_closed():
    terminal = Terminal()
    with pytest.raises(KeyError):
        with ProgressBar("training", terminal) as bar:
            time.sleep(0.15)
            bar.update(1, 2)
            raise KeyError
    assert terminal.getvalue().endswith("\n") and "50%" in terminal.frames()[-1]


def test_a_file_gets_one_line():
    log = io.StringIO()
    with ProgressBar("training", log) as bar:
        for step in range(100):
            bar.update(step, 100)
        bar.describe("training harder")
    assert re.fullmatch(r"training: done after \d+\.\d s\n", log.getvalue())
    with pytest.raises(KeyError):
        with ProgressBar("training", log):
            raise KeyError
    assert re.fullmatch(r"training: stopped after \d+\.\d s", log.getvalue().splitlines()[1])


def test_train_writes_one_line_to_a_file(samples, capfd):
    mithral.train(*samples, progress=True)
    out, err = capfd.readouterr()
    assert out == "" and re.fullmatch(r"training: done after \d+\.\d s\n", err)


def test_train_reports_to_the_bar_and_an_exception_stops_both(samples, capfd, monkeypatch):
    seen = []

    def update(self, done, total):
        seen.append((done, total))
        if done > 0:
            raise KeyboardInterrupt

    monkeypatch.setattr(ProgressBar, "update", update)
    with pytest.raises(KeyboardInterrupt):
        mithral.train(*samples, progress=True)
    assert 0 < seen[-1][0] < seen[-1][1]
    assert re.fullmatch(r"training: stopped after \d+\.\d s\n", capfd.readouterr().err)
