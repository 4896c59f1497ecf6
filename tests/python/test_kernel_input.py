"""What a kernel accepts as X: layouts without a copy, dtypes with one, everything else refused in clear words."""

import array
import contextlib
import mmap
import resource
import warnings

import ml_dtypes
import numpy as np
import pytest

import mithral
from models import oracle, oracle_codes, random_model, random_rows, same_bytes

NATIVE_DTYPES = [np.dtype(t) for t in (np.float32, np.int8, np.uint8, np.int16, np.float16, ml_dtypes.bfloat16)]


def padded(x, widths):
    return np.pad(x, widths, constant_values=99 if x.dtype.kind in "iu" else np.nan)


LAYOUTS = {
    "C order": np.ascontiguousarray,
    "Fortran order": np.asfortranarray,
    "padded rows": lambda x: padded(x, ((0, 0), (0, 5)))[:, : x.shape[1]],
    "padded columns": lambda x: np.asfortranarray(padded(x, ((0, 5), (0, 0))))[: x.shape[0]],
    "every second column": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "every third row": lambda x: np.repeat(x, 3, axis=0)[::3],
    "rows reversed": lambda x: np.ascontiguousarray(x[::-1])[::-1],
    "both reversed": lambda x: np.asfortranarray(x[::-1, ::-1])[::-1, ::-1],
    "a slice of three dimensions": lambda x: np.stack([x, x], axis=2)[:, :, 0],
}


@contextlib.contextmanager
def address_space_limited(margin):
    """Inside, this process can map at most `margin` bytes more than now."""
    with open("/proc/self/statm") as statm:
        mapped = int(statm.read().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (mapped + margin, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("n_rows", [0, 1, 7, 65, 300])
def test_every_layout_gives_the_same_bytes(rng, model, kernel, layout, n_rows):
    x = random_rows(rng, model, n_rows)
    given = LAYOUTS[layout](x)
    assert same_bytes(kernel(given), oracle(model, x))
    assert same_bytes(kernel.encode(given), oracle_codes(model, x))


@pytest.mark.parametrize("dtype", NATIVE_DTYPES, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_of_every_native_dtype_gives_the_same_bytes(rng, model, kernel, layout, dtype):
    x = (100 * rng.random((300, model.n_features))).astype(dtype)
    expected = x.astype(np.float32)
    assert same_bytes(kernel(LAYOUTS[layout](x)), oracle(model, expected))
    assert same_bytes(kernel.encode(LAYOUTS[layout](x)), oracle_codes(model, expected))


@pytest.mark.parametrize("dtype", NATIVE_DTYPES, ids=str)
def test_every_value_of_a_native_dtype_means_what_it_means_in_float32(rng, dtype):
    values = np.arange(256 ** min(dtype.itemsize, 2)).astype(f"u{min(dtype.itemsize, 2)}")
    x = values.view(dtype)[:, None] if dtype.itemsize < 4 else values.astype(dtype)[:, None]
    model = random_model(rng, n_features=1, n_outputs=3, n_codebooks=9, depth=4)
    thresholds = rng.choice(x[:, 0].astype(np.float32), model.thresholds.shape)
    thresholds = np.nan_to_num(thresholds) + rng.choice(np.float32([0, 0, 0.5, -0.5, 1e5]), thresholds.shape)
    model = mithral.Model(
        split_dims=model.split_dims,
        thresholds=thresholds,
        lut=model.lut,
        scale=model.scale,
        offset=model.offset,
        n_features=1,
    )
    for backend in ("jit", "generic", "interpreter"):
        kernel = mithral.compile(model, backend=backend)
        assert same_bytes(kernel.encode(x), oracle_codes(model, x.astype(np.float32)))
    assert same_bytes(model.encode(x), oracle_codes(model, x.astype(np.float32)))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_float32_is_not_copied(rng, backend, layout):
    expect_no_copy(rng, backend, layout, np.dtype(np.float32))


@pytest.mark.parametrize("dtype", NATIVE_DTYPES[1:], ids=str)
@pytest.mark.parametrize("layout", ["C order", "Fortran order", "every second column"])
def test_other_native_dtypes_are_not_copied(rng, layout, dtype):
    expect_no_copy(rng, "jit", layout, dtype)


def expect_no_copy(rng, backend, layout, dtype):
    """There is no address space for a copy of X (64 MiB: more than malloc ever keeps), nor for half of one."""
    model = random_model(rng, n_features=256, n_outputs=1, n_codebooks=2)
    kernel = mithral.compile(model, backend=backend)
    x = LAYOUTS[layout](np.ones(((1 << 18) // dtype.itemsize, 256), dtype))
    out = np.empty((len(x), 1), np.float32)
    kernel(x[:300], out[:300])  # scratch memory of the first call
    with address_space_limited(margin=x.size * x.itemsize // 2):
        kernel(x, out)
        with pytest.raises(OSError):  # the limit works; NumPy's memory may be some that malloc kept
            mmap.mmap(-1, x.size * x.itemsize)
    assert same_bytes(out[:2], model.reference(x[:2])) and np.all(out == out[0])


@pytest.mark.parametrize(
    "dtype",
    ["f8", "g", ">f2", ">f4", ">f8", ">i2", "u2", "i4", "u4", "i8", "u8", ">i4", "?"],
)
def test_real_dtypes_convert(rng, model, kernel, dtype):
    x = (100 * rng.random((70, model.n_features))).astype(dtype)
    for given in (x, np.asfortranarray(x), np.repeat(x, 2, axis=0)[::2]):
        assert same_bytes(kernel(given), oracle(model, x.astype(np.float32)))


def test_float64_is_rounded_to_float32_first(rng, model, kernel):
    x = rng.normal(size=(500, model.n_features))
    x[::3] = rng.choice(model.thresholds.ravel(), x[::3].shape)
    x[::3] *= 1 + 1e-12  # above a threshold in float64, equal to it in float32
    assert same_bytes(kernel(x), oracle(model, x.astype(np.float32)))


def test_values_out_of_float32_become_infinite_with_a_warning(model, kernel):
    x = np.full((3, model.n_features), 1e300)
    with pytest.warns(RuntimeWarning, match="overflow"):
        y = kernel(x)
    assert same_bytes(y, oracle(model, np.full(x.shape, np.inf, np.float32)))


def test_float32_that_cannot_be_addressed_in_elements_is_copied(rng, model, kernel):
    x = random_rows(rng, model, 40)
    record = np.zeros((40, model.n_features), dtype=[("tag", "u1"), ("x", "f4")])
    record["x"] = x
    misaligned = np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(np.float32).reshape(x.shape)
    for given in (record["x"], misaligned):
        assert same_bytes(kernel(given), oracle(model, x))


def test_a_broadcast_row_is_accepted(rng, model, kernel):
    row = random_rows(rng, model, 1)
    assert same_bytes(kernel(np.broadcast_to(row, (50, model.n_features))), np.repeat(oracle(model, row), 50, axis=0))


def test_other_array_types(rng, model, kernel, tmp_path):
    x = random_rows(rng, model, 40)
    expected = oracle(model, x)

    class Wrapped:
        def __array__(self, dtype=None, copy=None):
            return x

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)  # np.matrix
        matrix = np.matrix(x)
    mapped = np.memmap(tmp_path / "x", np.float32, "w+", shape=x.shape)
    mapped[:] = x
    for given in (Wrapped(), memoryview(x), matrix, mapped):
        y = kernel(given)
        assert type(y) is np.ndarray
        assert same_bytes(y, expected)


@pytest.mark.parametrize(
    "given, error, text",
    [
        ([[0.0] * 20], TypeError, "X is of type list; expected a NumPy array"),
        ((1, 2), TypeError, "X is of type tuple"),
        (1.5, TypeError, "X is of type float;"),
        (np.float32(1.5), TypeError, "X is of type float32"),
        (None, TypeError, "X is of type NoneType"),
        ("text", TypeError, "X is of type str"),
        (np.ndarray, TypeError, "X is of type type"),
        (np.ma.masked_invalid(np.zeros((2, 20))), TypeError, r"X is a masked array.*filled"),
        (np.zeros(20, np.float32), ValueError, r"X has shape \(20,\); expected \(N, D\) \(one row: X\[None, :\]\)"),
        (array.array("f", [0] * 20), ValueError, r"X has shape \(20,\); expected \(N, D\)"),
        (np.zeros((), np.float32), ValueError, r"X has shape \(\); expected \(N, D\)"),
        (np.zeros((1, 2, 20), np.float32), ValueError, r"X has shape \(1, 2, 20\); expected \(N, D\)"),
        (np.zeros((4, 19), np.float32), ValueError, r"X has shape \(4, 19\): 19 columns; expected 20, the model's n_feat"),
        (np.zeros((20, 4), np.float32), ValueError, "4 columns; expected 20"),
        (np.zeros((0, 0), np.float32), ValueError, "0 columns; expected 20"),
        (np.zeros((4, 20), np.complex64), ValueError, "X has dtype complex64; expected a real one"),
        (np.zeros((4, 20), object), ValueError, "X has dtype object"),
        (np.zeros((4, 20), "U3"), ValueError, "X has dtype <U3"),
        (np.zeros((4, 20), "S3"), ValueError, r"X has dtype \|S3"),
        (np.zeros((4, 20), "M8[s]"), ValueError, "X has dtype datetime64"),
        (np.zeros((4, 20), "m8[s]"), ValueError, "X has dtype timedelta64"),
        (np.zeros((4, 20), [("a", "f4")]), ValueError, "X has dtype"),
    ],
)
def test_what_is_not_a_real_matrix_is_refused(kernel, given, error, text):
    out = np.full((4, 7), 42, np.float32)
    for call in (kernel, lambda x: kernel(x, out), kernel.encode):
        with pytest.raises(error, match=text):
            call(given)
    assert np.all(out == 42)


def test_an_exception_from_array_reaches_the_caller(kernel):
    class Broken:
        def __array__(self, dtype=None, copy=None):
            raise OSError("no data")

    with pytest.raises(OSError, match="no data"):
        kernel(Broken())
