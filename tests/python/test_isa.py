"""One wheel, every x86: what each ISA's kernels give, and what happens where the CPU lacks one."""

import numpy as np
import pytest

import mithral
from models import compile_in, oracle, random_model, random_rows, same_bytes

SHAPES = [(1, 1, 1, 1), (20, 7, 5, 4), (64, 33, 16, 4), (33, 257, 3, 5), (64, 17, 9, 6), (7, 3, 6, 7), (50, 10, 8, 8)]


@pytest.fixture(params=mithral.isas())
def isa(request):
    return request.param


def runs(isa):
    return isa in mithral.host()["isas"]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("backend", ["jit", "interpreter"])
def test_every_isa_follows_the_contract(rng, isa, backend, shape):
    if backend == "jit" and not runs(isa):
        pytest.skip(f"this CPU has no {isa}; tests/emulator runs it")
    n_features, n_outputs, n_codebooks, depth = shape
    model = random_model(rng, n_features=n_features, n_outputs=n_outputs, n_codebooks=n_codebooks, depth=depth)
    kernel = mithral.compile(model, isa=isa, backend=backend)
    assert kernel.isa == isa
    for n_rows in (1, 16, 33, 300):
        x = random_rows(rng, model, n_rows)
        assert same_bytes(kernel(x), oracle(model, x))
        assert same_bytes(kernel(np.asfortranarray(x)), oracle(model, x))
        assert same_bytes(kernel.encode(x), model.encode(x))


def test_programs_and_listings_are_made_anywhere(model, isa):
    kernel = mithral.compile(model, isa=isa)
    assert kernel.program().count(f" for {isa}(") == kernel.listing().count(f" for {isa}:") >= 4


def test_calling_what_the_cpu_lacks_is_an_error(rng, model, isa):
    if runs(isa):
        pytest.skip(f"this CPU has {isa}")
    kernel = mithral.compile(model, isa=isa)
    out = np.full((5, model.n_outputs), 7, np.float32)
    for call in (lambda x: kernel(x), lambda x: kernel(x, out=out), kernel.encode):
        with pytest.raises(mithral.UnsupportedTargetError, match=f"{isa} code.*cannot run it; program"):
            call(random_rows(rng, model, 5))
    assert (out == 7).all()


def test_mithral_isa_caps(isa):
    allowed = {
        "sse41": {"sse41"},
        "avx2": {"sse41", "avx2"},
        "avx512": {"sse41", "avx2", "avx512"},
        "avx512_vbmi": {"sse41", "avx2", "avx512", "avx512_vbmi"},
    }
    best = [name for name in mithral.host()["isas"] if name in allowed[isa]][-1]
    result = compile_in({"MITHRAL_ISA": isa})
    assert result.stdout.split()[1] == best, result.stderr


def test_an_argument_overrides_the_cap():
    result = compile_in({"MITHRAL_ISA": mithral.isas()[0]}, f"{{'isa': '{mithral.isas()[-1]}'}}")
    assert result.stdout.split()[1] == mithral.isas()[-1], result.stderr
