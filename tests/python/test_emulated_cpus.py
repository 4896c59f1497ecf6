"""The installed package on CPUs that this machine is not, by qemu's emulation: it finds what they run, and gives the same
bytes. (AVX-512 is beyond qemu: see tests/emulator.)"""

import json
import os
import shutil
import subprocess
import sys

import pytest

import mithral

QEMU = shutil.which("qemu-x86_64")

# Prints the ISAs found, the one chosen, a hash of the outputs for every shape and backend, and hashes of models trained for
# the objectives given.
PROGRAM = """
import hashlib, json, sys; sys.path.insert(0, sys.argv[1])
import numpy as np, mithral
from models import random_model, random_rows

def digest(*arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()

def outputs(kernel, x):
    return digest(kernel(x), kernel(np.asfortranarray(x)), kernel.encode(x))

rng = np.random.default_rng(0)
result = {"isas": mithral.host()["isas"], "outputs": {}, "models": {}}
for shape in [(1, 1, 1, 1), (20, 7, 5, 4), (64, 33, 16, 4), (16, 5, 6, 6), (9, 3, 4, 8)]:
    n_features, n_outputs, n_codebooks, depth = shape
    model = random_model(rng, n_features=n_features, n_outputs=n_outputs, n_codebooks=n_codebooks, depth=depth)
    x = random_rows(rng, model, 301)
    kernels = {name: mithral.compile(model, backend=name) for name in ("jit", "generic", "interpreter")}
    kernels |= {isa: mithral.compile(model, isa=isa) for isa in mithral.host()["isas"]}
    result["outputs"][str(shape)] = {name: outputs(kernel, x) for name, kernel in kernels.items()}
    result["best"] = kernels["jit"].isa
a, b = rng.normal(size=(300, 6)), rng.normal(size=(6, 3))
for objective in sys.argv[2:]:
    model = mithral.train(a, b, n_codebooks=2, depth=3, objective=objective)
    arrays = (model.split_dims, model.thresholds, model.lut, model.scale, model.offset)
    result["models"][objective] = digest(*arrays)
print(json.dumps(result))
"""


def run(*command, objectives=("mse", "argmax")):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MITHRAL_")}
    done = subprocess.run(
        [*command, sys.executable, "-c", PROGRAM, os.path.dirname(__file__), *objectives],
        capture_output=True,
        text=True,
        env=clean,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def native():
    return run()


@pytest.mark.skipif(QEMU is None, reason="qemu-x86_64 (Debian: qemu-user) is not installed")
@pytest.mark.parametrize(
    "cpu, isas, objectives",
    [
        ("Nehalem", ["sse41"], ["mse", "argmax"]),
        ("Haswell", ["sse41", "avx2"], ["mse"]),  # qemu's fused multiply-adds are slow
    ],
)
def test_an_older_cpu_gives_the_same_bytes(native, cpu, isas, objectives):
    emulated = run(QEMU, "-cpu", cpu, objectives=objectives)
    assert (emulated["isas"], emulated["best"]) == (isas, isas[-1])
    for objective in objectives:
        assert emulated["models"][objective] == native["models"][objective], f"{cpu} trains another model for {objective}"
    for shape, digests in emulated["outputs"].items():
        assert set(digests.values()) == {native["outputs"][shape]["jit"]}, f"{cpu}, shape {shape}: {digests}"


def test_every_backend_gives_the_same_bytes(native):
    assert (native["isas"], native["best"]) == (mithral.host()["isas"], mithral.host()["isas"][-1])
    for shape, digests in native["outputs"].items():
        assert len(set(digests.values())) == 1, f"shape {shape}: {digests}"
