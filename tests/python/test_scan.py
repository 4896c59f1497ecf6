"""Codes as input: kernel.scan and its kin, and models whose codes come from the caller."""

import pickle

import numpy as np
import pytest

import mithral
from models import oracle, random_model, random_rows, same_bytes

N_CODEBOOKS, N_ENTRIES, N_OUTPUTS = 5, 10, 7


def given_arrays(rng, n_entries=N_ENTRIES):
    return {
        "lut": rng.integers(0, 256, (N_CODEBOOKS, n_entries, N_OUTPUTS), dtype=np.uint8),
        "scale": rng.normal(size=N_OUTPUTS).astype(np.float32),
        "offset": rng.normal(size=N_OUTPUTS).astype(np.float32),
    }


@pytest.fixture
def given(rng):
    return mithral.Model.from_codes(**given_arrays(rng))


@pytest.fixture
def codes(rng):
    return rng.integers(0, N_ENTRIES, (33, N_CODEBOOKS), dtype=np.uint8)


def oracle_sums(model, codes):
    return sum(model.lut[c, codes[:, c]].astype(np.int32) for c in range(model.n_codebooks))


def oracle_outputs(model, codes):
    return oracle_sums(model, codes).astype(np.float32) * model.scale + model.offset


def lyings(codes):
    """The same codes, in other places of memory."""
    wide = np.full((2 * codes.shape[0], 3 * codes.shape[1]), 255, np.uint8)
    wide[::2, ::3] = codes
    backwards = np.ascontiguousarray(codes[::-1, ::-1])
    return [codes, np.asfortranarray(codes), wide[::2, ::3], backwards[::-1, ::-1]]


@pytest.mark.parametrize("n_entries", [2, 10, 16, 17, 200, 256])
@pytest.mark.parametrize("n_rows", [0, 1, 33, 500])
def test_all_results_follow_the_tables(rng, backend, n_entries, n_rows):
    model = mithral.Model.from_codes(**given_arrays(rng, n_entries))
    kernel = mithral.compile(model, backend=backend)
    codes = rng.integers(0, n_entries, (n_rows, N_CODEBOOKS), dtype=np.uint8)
    outputs, sums = oracle_outputs(model, codes), oracle_sums(model, codes).astype(np.int32)
    order = np.argsort(-outputs, axis=1, kind="stable")[:, :3]
    assert same_bytes(model.reference(codes), outputs)
    for lying in lyings(codes):
        for call, call_sums, call_argmax, call_topk in (
            (kernel.scan, kernel.scan_sums, kernel.scan_argmax, kernel.scan_topk),
            (kernel, kernel.sums, kernel.argmax, kernel.topk),
        ):
            assert same_bytes(call(lying), outputs)
            assert same_bytes(call_sums(lying), sums)
            assert same_bytes(call_argmax(lying), outputs.argmax(axis=1))
            values, indices = call_topk(lying, 3)
            assert same_bytes(indices, order)
            assert same_bytes(values, np.take_along_axis(outputs, order, axis=1))


def test_models_of_trees_scan_their_own_codes(rng, backend):
    model = random_model(rng)
    kernel = mithral.compile(model, backend=backend, activation="relu")
    x = random_rows(rng, model, 100)
    codes = kernel.encode(x)
    assert same_bytes(kernel.scan(codes), np.maximum(oracle(model, x), 0))
    assert same_bytes(kernel.scan(codes), kernel(x))
    assert same_bytes(kernel.scan_sums(codes), kernel.sums(x))
    assert same_bytes(kernel.scan_argmax(codes), kernel.argmax(x))


def test_out(given, codes):
    kernel = mithral.compile(given)
    for call, wanted in (
        (kernel.scan, oracle_outputs(given, codes)),
        (kernel.scan_sums, oracle_sums(given, codes)),
        (kernel.scan_argmax, oracle_outputs(given, codes).argmax(axis=1)),
    ):
        for order in "CF":
            out = np.zeros(wanted.shape, wanted.dtype, order=order)
            assert call(codes, out=out) is out
            assert np.array_equal(out, wanted)
    with pytest.raises(ValueError, match="out has dtype"):
        kernel.scan(codes, out=np.zeros((33, N_OUTPUTS)))
    with pytest.raises(ValueError, match="out has shape"):
        kernel.scan(codes, out=np.zeros((32, N_OUTPUTS), np.float32))


@pytest.mark.parametrize(
    "change, error, text",
    [
        (lambda codes: codes.astype(np.int64), ValueError, "codes has dtype int64; expected uint8"),
        (lambda codes: codes.astype(np.int8), ValueError, "codes has dtype int8; expected uint8"),
        (lambda codes: codes > 3, ValueError, "codes has dtype bool; expected uint8"),
        (lambda codes: codes.astype(np.float32), ValueError, "codes has dtype float32; expected uint8"),
        (lambda codes: codes[:, :4], ValueError, r"codes has shape \(33, 4\): 4 columns; expected 5"),
        (lambda codes: codes[None], ValueError, r"codes has shape \(1, 33, 5\); expected \(N, C\)"),
        (lambda codes: codes[0], ValueError, r"codes has shape \(5,\); expected \(N, C\)"),
        (lambda codes: codes.tolist(), TypeError, "codes is of type list"),
        (lambda codes: None, TypeError, "codes is of type NoneType|codes is None"),
    ],
)
def test_what_is_no_code_is_refused(given, codes, change, error, text):
    kernel = mithral.compile(given)
    calls = [kernel.scan, kernel.scan_sums, kernel.scan_argmax, lambda c: kernel.scan_topk(c, 1)]
    calls += [kernel, kernel.sums, kernel.argmax, lambda c: kernel.topk(c, 1), given.reference]
    for call in calls:
        with pytest.raises(error, match=text):
            call(change(codes))


def test_a_code_without_an_entry_is_named_and_nothing_written(given, codes):
    kernel = mithral.compile(given)
    codes[20, 1] = 255
    codes[7, 3] = N_ENTRIES
    out = np.full((33, N_OUTPUTS), 3, np.float32)
    for lying in lyings(codes):
        for call in (kernel.scan, kernel):
            with pytest.raises(ValueError, match=r"codes\[7, 3\] is 10; codebook 3 allows: 0 to 9"):
                call(lying, out=out)
    assert np.all(out == 3)


@pytest.mark.parametrize(
    "change, error, text",
    [
        ({"lut": np.zeros((5, 1, 7), np.uint8)}, mithral.BadModelError, r"\(K\) is 1; allowed: 2 to 256"),
        ({"lut": np.zeros((5, 257, 7), np.uint8)}, mithral.BadModelError, r"\(K\) is 257; allowed: 2 to 256"),
        ({"lut": np.zeros((5, 3, 7), np.float32)}, mithral.BadModelError, "lut has dtype float32"),
        ({"lut": np.full((5, 3, 7), 256)}, mithral.BadModelError, "256"),
        ({"lut": np.zeros((5, 7), np.uint8)}, mithral.BadModelError, r"lut has shape \(5, 7\)"),
        ({"lut": np.zeros((257, 2, 7), np.uint8)}, mithral.BadModelError, r"\(C\) is 257"),
        ({"scale": np.full(7, np.nan, np.float32)}, mithral.BadModelError, r"scale\[0\] is nan"),
        ({"offset": np.full(7, np.inf, np.float32)}, mithral.BadModelError, r"offset\[0\] is inf"),
        ({"scale": np.ones(6, np.float32)}, mithral.BadModelError, r"scale has shape \(6,\)"),
        ({"lut": [[[1]]]}, TypeError, "lut is of type list"),
    ],
)
def test_arrays_that_make_no_model(rng, change, error, text):
    with pytest.raises(error, match=text):
        mithral.Model.from_codes(**given_arrays(rng) | change)


def test_pickle(given, codes):
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        copy = pickle.loads(pickle.dumps(given, protocol))
        assert same_bytes(copy.lut, given.lut)
        assert same_bytes(copy.reference(codes), given.reference(codes))
        assert not hasattr(copy, "split_dims")
    state = given.__reduce__()[2]
    assert "split_dims" not in state


def test_a_state_with_only_some_of_the_trees_is_refused(given, model):
    state = model.__reduce__()[2]
    for name in ("split_dims", "thresholds", "n_features"):
        fresh = mithral.Model.__new__(mithral.Model)
        with pytest.raises(mithral.BadModelError, match=f"no '{name}'"):
            fresh.__setstate__({key: value for key, value in state.items() if key != name})


def test_what_a_model_of_given_codes_has_and_has_not(given, codes):
    for name in ("depth", "split_dims", "thresholds"):
        assert not hasattr(given, name)
    assert (given.n_codebooks, given.n_entries, given.n_outputs, given.n_features) == (5, 10, 7, 5)
    assert given.report == {}
    assert repr(given) == "<mithral.Model: given codes -> 7 outputs, 5 codebooks of 10 entries>"
    kernel = mithral.compile(given)
    assert repr(kernel).startswith("<mithral.Kernel: given codes -> 7 outputs, ")
    for encode in (given.encode, kernel.encode):
        with pytest.raises(ValueError, match="codes come from the caller"):
            encode(codes)


def test_texts(given, backend):
    kernel = mithral.compile(given, backend=backend)
    assert "5 codebooks of 10 entries" in kernel.describe()
    assert "10000 row-major rows: about" in kernel.describe() and "exact product" not in kernel.describe()
    assert "program argmax for" in kernel.program()
    assert "program encode" not in kernel.program() and "program stage_rows" not in kernel.program()


def test_there_is_nothing_to_estimate(given):
    with pytest.raises(ValueError, match="no exact product"):
        mithral.estimate(given, 1000)
