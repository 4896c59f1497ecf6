"""mithral.train: options, reports, progress, interruption. Accuracy is tested where the trainer is."""

import os
import re
import signal

import numpy as np
import pytest

import mithral
from models import same_bytes


@pytest.fixture
def samples(rng):
    factors = rng.normal(size=(600, 4))
    a = (factors @ rng.normal(size=(4, 16)) + 0.1 * rng.normal(size=(600, 16))).astype(np.float32)
    return a, rng.normal(size=(16, 3)).astype(np.float32), np.float32([5, -5, 0])


def same_model(a, b):
    names = ("split_dims", "thresholds", "lut", "scale", "offset", "linear_dims", "linear_weights")
    return all(same_bytes(getattr(a, name), getattr(b, name)) for name in names)


def test_it_learns_and_reports(samples):
    a, b, bias = samples
    model = mithral.train(a[:400], b, bias, n_codebooks=8, depth=4)
    assert (model.n_codebooks, model.depth, model.n_features, model.n_outputs) == (8, 4, 16, 3)
    exact = a[400:] @ b + bias
    error = np.sum((model.reference(a[400:]) - exact) ** 2) / np.sum((exact - exact.mean(0)) ** 2)
    assert error < 0.3
    report = model.report
    assert {"nmse", "r2", "argmax_agreement", "n_holdout"} <= report.keys()
    assert type(report["n_holdout"]) is int and 0 < report["n_holdout"] < 400
    assert report["r2"] == pytest.approx(1 - report["nmse"])
    assert 0 <= report["argmax_agreement"] <= 1
    assert all(name in mithral.train.__doc__ for name in report), "every key is explained"
    report.clear()
    assert model.report, "the report is a new dict each time"


def test_the_model_depends_on_inputs_and_seed_alone(samples):
    a, b, bias = samples
    model, again, other = (
        mithral.train(a, b, bias, budget=4, seed=seed, threads=threads) for seed, threads in ((3, 1), (3, 2), (4, 1))
    )
    assert same_model(model, again) and not same_model(model, other)


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.astype(np.float64),
        np.asfortranarray,
        lambda a: np.repeat(a, 2, axis=0)[::2],
        lambda a: np.ascontiguousarray(a[::-1, ::-1])[::-1, ::-1],
        memoryview,
    ],
)
def test_dtype_and_strides_of_the_inputs_do_not_matter(samples, change):
    a, b, bias = samples
    model = mithral.train(a, b, bias, n_codebooks=4)
    assert same_model(model, mithral.train(change(a), change(b), bias.astype(np.float64), n_codebooks=4))


@pytest.mark.parametrize(
    "options, error, text",
    [
        ({"n_codebooks": 0}, ValueError, "n_codebooks, n_linear and n_latents are 0; allowed: at least one"),
        ({"n_codebooks": 257}, ValueError, "n_codebooks is 257; allowed: 0 to 256"),
        ({"n_codebooks": 2**80}, ValueError, "n_codebooks is"),
        ({"n_codebooks": 1.5}, TypeError, "n_codebooks is of type float"),
        ({"depth": 9}, ValueError, "depth is 9; allowed: 1 to 8"),
        ({"depth": None}, TypeError, "depth is of type NoneType"),
        ({"objective": "mae"}, ValueError, "objective is .mae.; allowed: .mse"),
        ({"objective": 1}, TypeError, "objective is 1; expected a string"),
        ({"seed": -1}, ValueError, "seed is -1"),
        ({"threads": 0}, ValueError, "threads is 0; allowed: 1 to"),
        ({"seed": 2**63}, ValueError, "seed is 9223372036854775808, which does not fit a signed 64-bit integer"),
        ({"seed": True}, TypeError, "seed is of type bool; expected an integer"),
        ({"n_codebooks": True}, TypeError, "n_codebooks is of type bool; expected an integer"),
        ({"depth": np.True_}, TypeError, r"depth is of type bool_?; expected an integer"),
        ({"threads": True}, TypeError, "threads is of type bool; expected an integer"),
        ({"rounding_tolerance": "a"}, TypeError, "rounding_tolerance is of type str; expected a real number"),
        ({"rounding_tolerance": None}, TypeError, "rounding_tolerance is of type NoneType; expected a real number"),
        ({"rounding_tolerance": True}, TypeError, "rounding_tolerance is of type bool; expected a real number"),
        ({"rounding_tolerance": np.array(True)}, TypeError, "rounding_tolerance is of type ndarray; expected a real"),
        ({"objective": "argmax\0"}, ValueError, r"objective is 'argmax\\x00', which has a NUL"),
        *(
            ({"progress": progress}, TypeError, "progress is .*; expected None, True or a function")
            for progress in (3, 0, 1, "", [], {}, np.False_)
        ),
    ],
)
def test_bad_options_are_refused(samples, options, error, text):
    with pytest.raises(error, match=text):
        mithral.train(*samples, **options)


def test_bad_arrays_are_refused(samples):
    a, b, bias = samples
    for arguments, error, text in [
        ((a.tolist(), b), TypeError, "A is of type list"),
        ((a, b.tolist()), TypeError, "B is of type list"),
        ((a, b, [0, 0, 0]), TypeError, "bias is of type list"),
        ((a[0], b), ValueError, r"A has shape \(16,\); expected \(n, D\)"),
        ((a, b[:, 0]), ValueError, r"B has shape \(16,\); expected \(D, M\)"),
        ((a, b[1:]), ValueError, "16 columns.* 15 rows"),
        ((a, b, bias[:2]), ValueError, r"bias has shape \(2,\); expected \(3,\)"),
        ((a, b, bias[None]), ValueError, r"bias has shape \(1, 3\); expected \(M,\)"),
        ((a, b[:, :0]), ValueError, "columns of B is 0"),
        ((a[:0], b), ValueError, "rows of A is 0"),
        ((a * np.where(np.arange(16) == 7, np.nan, 1), b), ValueError, r"A\[0, 7\] is -?nan"),
        ((a.astype(complex), b), ValueError, "A has dtype complex128"),
        ((b"abcd", b), TypeError, "A is of type bytes, not an array of numbers"),
    ]:
        with pytest.raises(error, match=text):
            mithral.train(*arguments)


def test_values_beyond_float32_are_named_as_given(samples):
    a, b, bias = (array.astype(np.float64) for array in samples)
    for array, name, index in [(a, "A", (3, 4)), (b, "B", (5, 1)), (bias, "bias", (2,))]:
        kept = array[index]
        for value in (1e300, -1e300, 2.0**128 - 2.0**103):
            array[index] = value
            where = ", ".join(map(str, index))
            with pytest.raises(ValueError, match=re.escape(f"{name}[{where}] is {value}, beyond the range of float32")):
                mithral.train(a, b, bias)
        array[index] = np.inf
        with pytest.raises(ValueError, match="is inf; every value must be finite"):
            mithral.train(a, b, bias)
        array[index] = kept
    a[:, 3] = 0
    a[3, 3] = np.nextafter(2.0**128 - 2.0**103, 0)  # rounds to the largest float32
    b[3] = 0
    mithral.train(a, b, bias, n_codebooks=1)


@pytest.mark.parametrize("objective", ["mse", "argmax"])
@pytest.mark.parametrize("layout", ["column", "row"])
def test_two_rows_are_enough(objective, layout):
    model = mithral.train(np.array([[0.0], [1.0]]), np.ones((1, 1)), objective=objective, layout=layout)
    assert model.report["n_holdout"] == model.report["n_train"] == 1


def test_progress_counts_up(samples):
    steps = []
    mithral.train(*samples, progress=lambda done, total: steps.append((done, total)))
    done, totals = zip(*steps)
    assert list(done) == sorted(done) and len(set(totals)) == 1 and done[-1] == totals[0]


def test_an_exception_from_progress_stops_training(samples):
    calls = []

    def progress(done, total):
        calls.append(done)
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        mithral.train(*samples, progress=progress)
    assert len(calls) == 1


def test_control_c_stops_training(samples):
    calls = []

    def progress(done, total):
        calls.append(done)
        os.kill(os.getpid(), signal.SIGINT)

    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
    try:
        with pytest.raises(KeyboardInterrupt):
            mithral.train(*samples, progress=progress)
    finally:
        signal.signal(signal.SIGINT, inherited)
    assert len(calls) <= 2
