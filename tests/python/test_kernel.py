"""Kernels as objects: options, attributes, texts, the environment, threads and the GIL."""

import copy
import os
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import mithral
from models import compile_in, oracle, random_model, random_rows, same_bytes

@pytest.mark.parametrize(
    "shape",
    [
        (1, 1, 1, 1),
        (3, 2, 2, 2),
        (64, 100, 64, 3),
        (16, 10, 17, 4),
        (33, 257, 3, 4),
        (20, 5, 9, 5),
        (64, 17, 16, 6),
        (7, 3, 33, 7),
        (100, 10, 16, 8),
    ],
)
@pytest.mark.parametrize("n_rows", [0, 1, 33, 500])
def test_every_backend_follows_the_contract(rng, backend, shape, n_rows):
    n_features, n_outputs, n_codebooks, depth = shape
    model = random_model(rng, n_features=n_features, n_outputs=n_outputs, n_codebooks=n_codebooks, depth=depth)
    kernel = mithral.compile(model, backend=backend)
    x = random_rows(rng, model, n_rows)
    assert same_bytes(kernel(x), oracle(model, x))
    assert same_bytes(kernel(np.asfortranarray(x)), oracle(model, x))
    assert same_bytes(kernel.encode(x), model.encode(x))


def test_attributes(model, kernel, backend):
    assert kernel.backend == backend
    assert kernel.isa in mithral.isas()
    assert kernel.threads == 1
    assert (kernel.code_size, kernel.table_size) == (0, 0)  # made when a call needs them
    kernel(np.zeros((1, kernel.model.n_features), np.float32))
    assert (kernel.code_size > 0) == (backend == "jit")
    assert kernel.table_size > 0
    assert same_bytes(kernel.model.lut, model.lut)
    text = repr(kernel)
    assert text.startswith("<mithral.Kernel: 20 features -> 7 outputs, 5 codebooks of depth 4; ") and backend in text


def test_program_and_listing(model, backend):
    kernel = mithral.compile(model, backend=backend)
    assert len(kernel.program().splitlines()) > 10
    assert kernel.program() == mithral.compile(model, backend=backend).program()
    if backend == "jit":
        assert len(kernel.listing().splitlines()) > 10
        assert kernel.listing() == mithral.compile(model).listing()


def test_a_kernel_outlives_its_model(rng):
    x = rng.normal(size=(10, 20)).astype(np.float32)
    model = random_model(rng)
    expected = oracle(model, x)
    kernel = mithral.compile(model)
    del model
    assert same_bytes(kernel(x), expected)


@pytest.mark.parametrize(
    "options, error, text",
    [
        ({"isa": "avx3"}, ValueError, "'avx3'; allowed: sse41, avx2, avx512, avx512_vbmi"),
        ({"isa": 2}, TypeError, "isa is 2; expected a string"),
        ({"backend": "gpu"}, ValueError, "'gpu'; allowed: .*jit.*generic.*interpreter"),
        ({"backend": True}, TypeError, "backend is True; expected a string"),
        ({"threads": 0}, ValueError, "threads.* 0.*1 to 1024"),
        ({"threads": 1025}, ValueError, "threads.* 1025.*1 to 1024"),
        ({"threads": 2**64}, ValueError, "threads is"),
        ({"threads": "2"}, TypeError, "threads is of type str; expected an integer"),
    ],
)
def test_bad_options_are_refused(model, options, error, text):
    with pytest.raises(error, match=text):
        mithral.compile(model, **options)


def test_only_a_model_compiles():
    with pytest.raises(TypeError, match="^model is of type NoneType; expected a mithral.Model$"):
        mithral.compile(None)
    with pytest.raises(TypeError, match="Model"):
        mithral.compile("model")


def test_there_is_no_other_constructor():
    with pytest.raises(TypeError, match="No constructor"):
        mithral.Kernel()


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_kernels_are_not_copied(kernel, duplicate):
    with pytest.raises(TypeError, match="pickle kernel.model"):
        duplicate(kernel)


@pytest.mark.parametrize(
    "environment, arguments, expected",
    [
        ({"MITHRAL_BACKEND": "interpreter"}, "{}", "interpreter {best} 1"),
        ({"MITHRAL_BACKEND": "interpreter"}, "{'backend': 'generic'}", "generic {best} 1"),
        ({"MITHRAL_THREADS": "3"}, "{'backend': 'generic'}", "generic {best} 3"),
        ({"MITHRAL_THREADS": "3"}, "{'backend': 'generic', 'threads': 2}", "generic {best} 2"),
        ({"MITHRAL_BACKEND": "", "MITHRAL_THREADS": ""}, "{'backend': 'generic'}", "generic {best} 1"),
    ],
)
def test_the_environment_gives_defaults(environment, arguments, expected):
    result = compile_in(environment, arguments)
    assert result.stdout.strip() == expected.format(best=mithral.host()["isas"][-1]), result.stderr


@pytest.mark.parametrize("name", ["MITHRAL_BACKEND", "MITHRAL_THREADS", "MITHRAL_ISA"])
def test_nonsense_in_the_environment_is_an_error(name):
    result = compile_in({name: "nonsense"})
    assert result.returncode == 1
    assert name in result.stderr and "ValueError" in result.stderr and "'nonsense'; allowed: " in result.stderr


@pytest.mark.parametrize("threads", [2, 5])
def test_threads_do_not_change_the_result(rng, model, backend, threads):
    kernel = mithral.compile(model, backend=backend, threads=threads)
    assert kernel.threads == threads
    x = random_rows(rng, model, 5000)
    assert same_bytes(kernel(x), oracle(model, x))
    assert same_bytes(kernel(np.asfortranarray(x)), oracle(model, x))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # Python 3.12 and later, where threads run
def test_workers_survive_forks_and_serve_many_threads(rng):
    model = random_model(rng, n_outputs=200)
    kernel = mithral.compile(model, threads=4)
    x = random_rows(rng, model, 20000)
    expected = oracle(model, x)
    assert same_bytes(kernel(x), expected)  # the parent's workers run
    for _ in range(3):
        child = os.fork()
        if child == 0:
            os._exit(0 if same_bytes(kernel(x), expected) else 1)
        assert os.waitpid(child, 0)[1] == 0
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda _: same_bytes(kernel(x), expected), range(24)))


def test_one_kernel_serves_many_threads(rng, model, kernel):
    inputs = [random_rows(rng, model, n) for n in (1, 50, 333, 64, 1000, 7, 129, 2)]
    expected = [oracle(model, x) for x in inputs]

    def work(i):
        x = inputs[i % len(inputs)]
        x = np.asfortranarray(x) if i % 3 == 0 else x
        return same_bytes(kernel(x), expected[i % len(inputs)])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(400)))


@pytest.mark.parametrize("method", ["__call__", "encode"])
def test_other_python_threads_run_during_a_call(rng, model, method):
    call = getattr(mithral.compile(model, backend="interpreter"), method)
    check_others_run(lambda n: call(np.zeros((n, model.n_features), np.float32)))


@pytest.mark.parametrize("method", ["reference", "encode"])
def test_other_python_threads_run_during_a_model_method(model, method):
    check_others_run(lambda n: getattr(model, method)(np.zeros((n, model.n_features), np.float32)))


def test_other_python_threads_run_during_training(rng):
    a = rng.normal(size=(400, 16)).astype(np.float32)
    check_others_run(lambda n: mithral.train(np.resize(a, (400 + n // 4, 16)), a[:16], n_codebooks=8))


def check_others_run(work):
    """While work(n) runs, with n large enough to take a while, another thread wakes up again and again."""
    n = 1000
    while True:
        start = time.perf_counter()
        work(n)
        if time.perf_counter() - start > 0.2:
            break
        n *= 2

    running = threading.Event()
    stop = threading.Event()
    wakes = []

    def tick():
        running.set()
        while not stop.is_set():
            wakes.append(time.perf_counter())
            time.sleep(0.001)

    ticker = threading.Thread(target=tick)
    ticker.start()
    running.wait()
    start = time.perf_counter()
    work(n)
    end = time.perf_counter()
    stop.set()
    ticker.join()
    # Preparing the arguments and the switch at the end leave room for a few wakes, holding the GIL for no more.
    assert sum(start < wake < end for wake in wakes) > 20
