"""What a kernel does while Python ends."""

import subprocess
import sys

SCRIPT = """
import threading
import numpy as np
import mithral

rng = np.random.default_rng(0)
model = mithral.Model(
    split_dims=np.zeros((4, 4), int), thresholds=np.zeros((4, 15)), lut=rng.integers(0, 256, (4, 16, 100)),
    scale=np.ones(100), offset=np.zeros(100), n_features=8)
kernel = mithral.compile(model, threads={threads})
rows = np.zeros((100_000, 8), np.float32)
called = threading.Event()

def call_for_ever():
    while True:
        kernel(rows)
        called.set()

threading.Thread(target=call_for_ever, daemon=True).start()
called.wait()
"""


def test_a_daemon_thread_inside_a_call_lets_the_process_end():
    for threads in (1, 2):
        run = subprocess.run(
            [sys.executable, "-c", SCRIPT.format(threads=threads)], capture_output=True, text=True, timeout=60
        )
        assert (run.returncode, run.stderr) == (0, "")
