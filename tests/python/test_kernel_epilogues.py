"""kernel.sums, argmax and topk, bias and activation: against NumPy over model.reference."""

import numpy as np
import pytest

import mithral
from models import oracle_codes, random_arrays, random_model, random_rows, same_bytes

SHAPES = ({}, {"n_outputs": 1}, {"n_outputs": 300, "n_codebooks": 3}, {"n_outputs": 70, "depth": 6})


def relu(y):
    return np.where(y > 0, y, np.float32(0))


def oracle_sums(model, x):
    sums = np.zeros((len(x), model.n_outputs), np.int64)
    for c, codes in enumerate(oracle_codes(model, x).T):
        sums += model.lut[c, codes]
    return sums.astype(np.int32)


def oracle_topk(y, k):
    indices = np.argsort(-y, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(y, indices, axis=1), indices


def with_ties(rng, **shape):
    arrays = random_arrays(rng, **shape)
    arrays["lut"] %= 3
    arrays["scale"][:] = 0.5
    arrays["offset"][:] = rng.choice(np.float32([-2, -3]), arrays["offset"].shape)
    return mithral.Model(**arrays)


def check_all(kernel, x, y):
    """Everything that the kernel gives for x is that of y, its float32 outputs."""
    model = kernel.model
    assert same_bytes(kernel(x), y)
    sums = kernel.sums(x)
    assert same_bytes(sums, oracle_sums(model, x))
    best = kernel.argmax(x)
    assert same_bytes(best, y.argmax(axis=1))
    for k in {1, min(3, model.n_outputs), min(64, model.n_outputs)}:
        values, indices = kernel.topk(x, k)
        assert type(values) is type(indices) is np.ndarray
        wanted_values, wanted_indices = oracle_topk(y, k)
        assert same_bytes(values, wanted_values) and same_bytes(indices, wanted_indices)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("make", [random_model, with_ties])
@pytest.mark.parametrize("n_rows", [0, 1, 65, 300])
def test_epilogues_agree_with_numpy(rng, backend, make, shape, n_rows):
    model = make(rng, **shape)
    x = random_rows(rng, model, n_rows)
    y = model.reference(x)
    check_all(mithral.compile(model, backend=backend), x, y)
    check_all(mithral.compile(model, backend=backend, activation="relu"), np.asfortranarray(x), relu(y))


def test_sums_scaled_are_the_outputs(rng, model, kernel):
    x = random_rows(rng, model, 50)
    assert same_bytes(kernel.sums(x).astype(np.float32) * model.scale + model.offset, kernel(x))


def test_relu_gives_no_negative_zero(rng, backend):
    arrays = random_arrays(rng)
    arrays["scale"][:] = -0.0
    arrays["offset"][:] = -0.0
    model = mithral.Model(**arrays)
    x = random_rows(rng, model, 70)
    assert np.signbit(model.reference(x)).any()
    y = mithral.compile(model, backend=backend, activation="relu")(x)
    assert not y.any() and not np.signbit(y).any()


def test_no_output_is_nan(rng, backend):
    arrays = random_arrays(rng, n_outputs=40)
    largest = np.finfo(np.float32).max
    arrays["scale"] = rng.choice(np.float32([largest, -largest]), 40)
    arrays["offset"] = -arrays["scale"]
    model = mithral.Model(**arrays)
    x = random_rows(rng, model, 70)
    y = model.reference(x)
    assert np.isinf(y).any() and not np.isnan(y).any()
    check_all(mithral.compile(model, backend=backend), x, y)


def test_a_bias_is_added_to_the_offset(rng, model, backend):
    bias = rng.normal(size=model.n_outputs)
    kernel = mithral.compile(model, backend=backend, bias=bias, activation="relu")
    assert same_bytes(kernel.model.offset, model.offset + bias.astype(np.float32))
    assert kernel.activation == "relu" and "relu" in repr(kernel)
    x = random_rows(rng, model, 40)
    check_all(kernel, x, relu(kernel.model.reference(x)))
    plain = mithral.compile(model, backend=backend)
    assert plain.activation is None and "relu" not in repr(plain)
    assert same_bytes(plain.model.offset, model.offset)


@pytest.mark.parametrize("step", [1, 2, -3])
def test_out(rng, model, kernel, step):
    x = random_rows(rng, model, 66)
    memory = np.full(66 * abs(step), -7, np.intp)
    out = memory[::step]
    assert kernel.argmax(x, out=out) is out
    assert same_bytes(np.array(out), model.reference(x).argmax(axis=1))
    assert step == 1 or np.count_nonzero(memory == -7) == len(memory) - 66
    for order in "CF":
        sums = np.empty((66, model.n_outputs), np.int32, order=order)
        assert kernel.sums(x, out=sums) is sums
        assert same_bytes(np.ascontiguousarray(sums), oracle_sums(model, x))


def test_out_may_overlap_x(rng, model, kernel):
    x = random_rows(rng, model, 50)
    best, sums = kernel.argmax(x), kernel.sums(x)
    memory = x.copy()
    assert same_bytes(kernel.argmax(memory, out=memory.ravel()[:100].view(np.intp)).copy(), best)
    memory = x.copy()
    out = memory.ravel()[: sums.size].view(np.int32).reshape(sums.shape)
    assert same_bytes(kernel.sums(memory, out=out).copy(), sums)


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda kernel, x: kernel.topk(x, 0), ValueError, "k is 0; allowed: 1 to 7"),
        (lambda kernel, x: kernel.topk(x, 8), ValueError, "k is 8; allowed: 1 to 7"),
        (lambda kernel, x: kernel.topk(x, -1), ValueError, "k is -1; allowed: 1 to 7"),
        (lambda kernel, x: kernel.topk(x, 2**70), ValueError, "k is 1180591620717411303424, which does not fit a signed 64-bit integer"),
        (lambda kernel, x: kernel.topk(x, 2.0), TypeError, "k is of type float; expected an integer"),
        (lambda kernel, x: kernel.topk(x, True), TypeError, "k is of type bool"),
        (lambda kernel, x: kernel.topk(x, None), TypeError, "k is of type NoneType"),
        (lambda kernel, x: kernel.topk(x.tolist(), 1), TypeError, "X is of type list"),
        (lambda kernel, x: kernel.topk(x[:, 1:], 1), ValueError, r"X has shape \(8, 19\)"),
        (lambda kernel, x: kernel.argmax(x.tolist()), TypeError, "X is of type list"),
        (lambda kernel, x: kernel.argmax(x[:, 1:]), ValueError, r"X has shape \(8, 19\)"),
        (lambda kernel, x: kernel.argmax(x, out=[0] * 8), TypeError, "out is of type list"),
        (lambda kernel, x: kernel.argmax(x, out=np.zeros(8, np.int32)), ValueError, r"out has dtype dtype\('int32'\); expected int64"),
        (lambda kernel, x: kernel.argmax(x, out=np.zeros(8)), ValueError, r"out has dtype dtype\('float64'\); expected int64"),
        (lambda kernel, x: kernel.argmax(x, out=np.zeros(7, np.intp)), ValueError, r"out has shape \(7,\); expected \(8,\)"),
        (lambda kernel, x: kernel.argmax(x, out=np.zeros((8, 1), np.intp)), ValueError, r"out has shape \(8, 1\); expected \(8,\)"),
        (lambda kernel, x: kernel.argmax(x, out=np.broadcast_to(np.intp(0), 8)), ValueError, "read-only"),
        (lambda kernel, x: kernel.sums(x, out=np.zeros((8, 7), np.float32)), ValueError, r"out has dtype dtype\('float32'\); expected int32"),
        (lambda kernel, x: kernel.sums(x, out=np.zeros((8, 7), ">i4")), ValueError, "native byte order"),
        (lambda kernel, x: kernel.sums(x, out=np.zeros((7, 8), np.int32)), ValueError, r"out has shape \(7, 8\); expected \(8, 7\)"),
        (lambda kernel, x: kernel.sums(x.tolist()), TypeError, "X is of type list"),
    ],
)  # fmt: skip
def test_bad_calls_are_refused(rng, model, kernel, call, error, text):
    with pytest.raises(error, match=text):
        call(kernel, random_rows(rng, model, 8))


@pytest.mark.parametrize(
    "options, error, text",
    [
        ({"activation": "gelu"}, ValueError, "unknown activation 'gelu'; allowed: none, relu"),
        ({"activation": 1}, TypeError, "activation is 1; expected a string"),
        ({"bias": np.zeros(6)}, ValueError, r"bias has shape \(6,\); expected \(7,\)"),
        ({"bias": np.zeros(0)}, ValueError, r"bias has shape \(0,\); expected \(7,\)"),
        ({"bias": np.zeros((7, 1))}, ValueError, r"bias has shape \(7, 1\); expected \(M,\)"),
        ({"bias": [0.0] * 7}, TypeError, "bias is of type list"),
        ({"bias": np.full(7, np.nan)}, ValueError, r"bias\[0\] is nan"),
        ({"bias": np.full(7, 1e300)}, ValueError, r"bias\[0\] is 1e\+300, beyond the range of float32"),
        ({"bias": np.array(["a"] * 7)}, ValueError, "bias has dtype"),
    ],
)
def test_bad_options_are_refused(model, options, error, text):
    with pytest.raises(error, match=text):
        mithral.compile(model, backend="generic", **options)
