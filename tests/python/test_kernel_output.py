"""Where a kernel writes: new arrays, out in any layout, nothing beside it, nothing after an error."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models import oracle, random_rows, same_bytes

SENTINEL = np.float32(-12345.678)


def view_in_sentinels(shape, row_step=1, col_step=1, order="C"):
    """A view of `shape` with the given steps inside an array of sentinels, with a margin on every side; and that array."""
    rows, cols = shape
    base = np.full((rows * abs(row_step) + 8, cols * abs(col_step) + 8), SENTINEL, np.float32, order=order)
    view = base[4:-4, 4:-4][::row_step, ::col_step]
    assert view.shape == shape
    return view, base


def check_call(kernel, x, expected, out, base):
    """The kernel writes `expected` to `out`, a view of `base`, and nothing else of `base`."""
    assert kernel(x, out=out) is out
    assert same_bytes(np.ascontiguousarray(out), expected)
    out[...] = SENTINEL
    assert np.all(base == SENTINEL)


def test_a_new_array_is_c_order_and_writeable(rng, model, kernel):
    x = random_rows(rng, model, 33)
    for given_x in (x, np.asfortranarray(x)):
        y = kernel(given_x)
        assert type(y) is np.ndarray and y.dtype == np.float32 and y.shape == (33, model.n_outputs)
        assert y.flags.c_contiguous and y.flags.writeable and y.flags.aligned
        assert same_bytes(y, oracle(model, x))
    assert kernel(x) is not kernel(x)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("steps", [(1, 1), (2, 1), (1, 2), (3, 2), (-1, 1), (1, -1), (-2, -3)])
@pytest.mark.parametrize("n_rows", [0, 1, 31, 65, 257])
def test_out_of_any_strides(rng, model, kernel, order, steps, n_rows):
    x = random_rows(rng, model, n_rows)
    out, base = view_in_sentinels((n_rows, model.n_outputs), *steps, order)
    check_call(kernel, x, oracle(model, x), out, base)


@pytest.mark.parametrize("order", ["C", "F"])
def test_contiguous_out(rng, model, kernel, order):
    x = random_rows(rng, model, 100)
    out = np.full((100, model.n_outputs), SENTINEL, order=order)
    address = out.ctypes.data
    assert kernel(x, out) is out and out.ctypes.data == address
    assert same_bytes(np.ascontiguousarray(out), oracle(model, x))


def test_out_may_be_a_subclass(rng, model, kernel, tmp_path):
    x = random_rows(rng, model, 20)
    out = np.memmap(tmp_path / "y", np.float32, "w+", shape=(20, model.n_outputs))
    assert kernel(x, out=out) is out
    assert same_bytes(np.array(out), oracle(model, x))


@pytest.mark.parametrize("shift", [0, 1, 7, 100, 1000])
@pytest.mark.parametrize("order", ["C", "F"])
def test_out_may_overlap_x(rng, model, kernel, shift, order):
    n_rows = 90
    memory = np.zeros(n_rows * model.n_features + 1000, np.float32)
    x = memory[: n_rows * model.n_features].reshape((n_rows, model.n_features), order=order)
    x[...] = random_rows(rng, model, n_rows)
    expected = oracle(model, x.copy())
    out = memory[shift : shift + n_rows * model.n_outputs].reshape((n_rows, model.n_outputs), order=order)
    assert np.shares_memory(x, out)
    assert same_bytes(np.ascontiguousarray(kernel(x, out=out)), expected)


def read_only():
    out = np.full((8, 7), SENTINEL)
    out.flags.writeable = False
    return out


def misaligned():
    return np.full(8 * 7 * 4 + 1, 7, np.uint8)[1:].view(np.float32).reshape(8, 7)


def overlapping():
    return np.lib.stride_tricks.as_strided(np.full(100, SENTINEL), (8, 7), (4, 4))


def repeated():
    return np.lib.stride_tricks.as_strided(np.full(100, SENTINEL), (8, 7), (0, 4))


@pytest.mark.parametrize(
    "make, error, text",
    [
        (lambda: [[0.0] * 7] * 8, TypeError, "out is of type list; expected a NumPy array or None"),
        (lambda: memoryview(np.zeros((8, 7), np.float32)), TypeError, "out is of type memoryview"),
        (lambda: np.ma.zeros((8, 7), np.float32), TypeError, "out is a masked array"),
        (lambda: np.zeros((8, 7)), ValueError, r"out has dtype dtype\('float64'\); expected float32"),
        (lambda: np.zeros((8, 7), np.int32), ValueError, r"out has dtype dtype\('int32'\)"),
        (lambda: np.zeros((8, 7), ">f4"), ValueError, r"out has dtype dtype\('>f4'\).*native byte order"),
        (lambda: np.zeros((7, 8), np.float32), ValueError, r"out has shape \(7, 8\); expected \(8, 7\)"),
        (lambda: np.zeros((9, 7), np.float32), ValueError, r"out has shape \(9, 7\); expected \(8, 7\)"),
        (lambda: np.zeros(56, np.float32), ValueError, r"out has shape \(56,\); expected \(8, 7\)"),
        (lambda: np.zeros((8, 7, 1), np.float32), ValueError, r"out has shape \(8, 7, 1\); expected \(8, 7\)"),
        (read_only, ValueError, "out is read-only"),
        (misaligned, ValueError, "whole, aligned float32 elements"),
        (overlapping, ValueError, "out has elements that share memory"),
        (repeated, ValueError, "out has elements that share memory"),
    ],
)
def test_a_wrong_out_is_refused_and_untouched(rng, model, kernel, make, error, text):
    x = random_rows(rng, model, 8)
    out = make()
    before = np.array(out, copy=True)
    with pytest.raises(error, match=text):
        kernel(x, out=out)
    assert np.array_equal(out, before)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    n_rows=st.integers(0, 200),
    x_steps=st.tuples(st.sampled_from([1, 2, -1, -3]), st.sampled_from([1, 2, -1])),
    out_steps=st.tuples(st.sampled_from([1, 2, -1, -3]), st.sampled_from([1, 3, -1])),
    x_order=st.sampled_from("CF"),
    out_order=st.sampled_from("CF"),
    seed=st.integers(0, 2**32),
)
def test_any_strides_in_and_out(model, kernel, n_rows, x_steps, out_steps, x_order, out_order, seed):
    rng = np.random.default_rng(seed)
    x, x_base = view_in_sentinels((n_rows, model.n_features), *x_steps, x_order)
    x[...] = random_rows(rng, model, n_rows)
    x_before = x_base.copy()
    out, out_base = view_in_sentinels((n_rows, model.n_outputs), *out_steps, out_order)
    check_call(kernel, x, oracle(model, np.ascontiguousarray(x)), out, out_base)
    assert same_bytes(x_base, x_before)
