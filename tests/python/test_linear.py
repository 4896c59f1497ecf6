"""Linear dims: columns quantised to 7 bits, times small integers, beside the tables or alone."""

import itertools
import pickle

import ml_dtypes
import numpy as np
import pytest
from models import random_arrays, random_rows, same_bytes

import mithral

BACKENDS = [("jit", isa) for isa in mithral.isas()] + [("interpreter", None), ("generic", None)]
NAMES = ("linear_dims", "linear_inverse_step", "linear_zero", "linear_weights", "shift")


def linear_arrays(rng, n_linear=13, n_features=20, n_outputs=7, n_codebooks=5, **shape):
    return random_arrays(rng, n_features=n_features, n_outputs=n_outputs, n_codebooks=max(n_codebooks, 1), **shape) | {
        "linear_dims": rng.integers(0, n_features, n_linear, dtype=np.int32),
        "linear_inverse_step": rng.choice(np.float32([0.5, 15.5, -16.3, 40, 1e-3]), n_linear),
        "linear_zero": rng.choice(np.float32([0, 63.5, 0.5, -3]), n_linear),
        "linear_weights": rng.integers(-128, 128, (n_linear, n_outputs), dtype=np.int8),
        "shift": 3 if n_linear > 0 else 0,
    }


def linear_model(rng, n_codebooks=5, **shape):
    arrays = linear_arrays(rng, n_codebooks=n_codebooks, **shape)
    if n_codebooks == 0:
        arrays |= dict.fromkeys(("split_dims", "thresholds", "lut"))
    return mithral.Model(**arrays)


def oracle(model, x):
    """int64 (N, M): the sums by the contract."""
    with np.errstate(all="ignore"):
        u = x.astype(np.float32)[:, model.linear_dims] * model.linear_inverse_step + model.linear_zero
        q = np.where(u > 0, np.rint(np.minimum(u, np.float32(127))), 0).astype(np.int64)
    codes = model.encode(x)
    tables = sum(
        (model.lut[c, codes[:, c]].astype(np.int64) for c in range(model.n_codebooks)),
        np.zeros((len(x), model.n_outputs), np.int64),
    )
    return (tables << model.shift) + q @ model.linear_weights.astype(np.int64)


@pytest.mark.parametrize("backend, isa", BACKENDS)
@pytest.mark.parametrize("n_codebooks", [0, 5])
@pytest.mark.parametrize("n_outputs", [3, 100])
def test_every_backend_gives_the_contract(rng, backend, isa, n_codebooks, n_outputs):
    if isa is not None and isa not in mithral.host()["isas"]:
        pytest.skip(f"this CPU has no {isa}")
    model = linear_model(rng, n_codebooks=n_codebooks, n_outputs=n_outputs)
    kernel = mithral.compile(model, backend=backend, isa=isa)
    for n in (1, 70, 300):
        x = random_rows(rng, model, n)
        sums = oracle(model, x)
        y = sums.astype(np.float32) * model.scale + model.offset
        assert same_bytes(model.reference(x), y)
        for rows in (x, np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2]):
            assert same_bytes(kernel(rows), y)
            assert np.array_equal(kernel.sums(rows), sums)
            assert np.array_equal(kernel.argmax(rows), y.argmax(axis=1))
            values, indices = kernel.topk(rows, 2)
            assert np.array_equal(indices[:, 0], y.argmax(axis=1)) and np.array_equal(values[:, 0], y.max(axis=1))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("order", ["C", "F"])
def test_input_of_other_types_means_its_values(rng, dtype, order):
    model = linear_model(rng, n_outputs=20)
    x = np.asarray(rng.integers(0, 120, (150, model.n_features)).astype(dtype), order=order)
    assert same_bytes(mithral.compile(model)(x), model.reference(x.astype(np.float32)))


def test_arrays_come_back_and_models_are_pickled(rng):
    arrays = linear_arrays(rng)
    model = mithral.Model(**arrays)
    assert model.n_linear == 13 and "13 linear dims" in repr(model)
    copy = pickle.loads(pickle.dumps(model))
    for name in NAMES:
        assert np.array_equal(getattr(model, name), arrays[name]) and np.array_equal(getattr(copy, name), arrays[name])
    alone = linear_model(rng, n_codebooks=0)
    assert repr(alone) == "<mithral.Model: 20 features -> 7 outputs, 13 linear dims>"
    plain = mithral.Model(**random_arrays(rng))
    assert plain.n_linear == 0 and plain.linear_dims.shape == (0,) and plain.linear_weights.shape == (0, 7)


@pytest.mark.parametrize(
    "change, text",
    [
        ({"linear_dims": np.full(13, 20)}, r"linear_dims\[0\] is 20; allowed: 0 to 19"),
        ({"linear_dims": np.zeros(12, int)}, r"linear_inverse_step has shape \(13,\)"),
        ({"linear_dims": np.zeros((1, 13), int)}, r"linear_dims has shape \(1, 13\); expected \(n_linear,\)"),
        ({"linear_zero": np.full(13, np.nan)}, r"linear_zero\[0\] is -?nan; allowed: finite"),
        ({"linear_inverse_step": np.full(13, np.inf)}, r"linear_inverse_step\[0\] is inf; allowed: finite"),
        ({"linear_weights": np.full((13, 7), 128)}, "linear_weights.*128"),
        ({"linear_weights": np.zeros((13, 6), np.int8)}, r"linear_weights has shape \(13, 6\)"),
        ({"linear_weights": None}, "linear_weights is None; expected an array"),
        ({"shift": 15}, "shift is 15; allowed: 0 to 14"),
        ({"split_dims": None}, "split_dims is None; expected an array, as others of the trees are given"),
        ({"linear_dims": None, "linear_inverse_step": None, "linear_zero": None, "linear_weights": None}, "shift is given"),
    ],
)
def test_bad_arrays_are_refused(rng, change, text):
    with pytest.raises(mithral.BadModelError, match=text):
        mithral.Model(**linear_arrays(rng) | change)


def test_codes_alone_are_not_enough(rng):
    model = linear_model(rng)
    kernel = mithral.compile(model)
    codes = kernel.encode(random_rows(rng, model, 5))
    with pytest.raises(ValueError, match="13 linear dims and 0 latents, which are made of rows: codes alone"):
        kernel.scan(codes)


def nmse(y, exact):
    return np.sum((y - exact) ** 2) / np.sum((exact - exact.mean(axis=0)) ** 2)


@pytest.mark.parametrize("objective", ["mse", "argmax"])
def test_all_columns_are_nearly_the_exact_product(rng, objective):
    a, b, bias = rng.normal(size=(3000, 64)), rng.normal(size=(64, 16)), rng.normal(size=16)
    model = mithral.train(a[:2000], b, bias, n_linear=64, objective=objective)
    assert (model.n_codebooks, model.n_linear) == (0, 64)
    error = nmse(mithral.compile(model)(a[2000:]), a[2000:] @ b + bias)
    assert error < 0.003 and model.report["nmse"] < 0.003


def correlated_rows(rng, n, d=128, rank=20):
    mix = np.random.default_rng(5).normal(size=(rank, d))
    return np.maximum(rng.normal(size=(n, rank)) @ mix + 0.3 * rng.normal(size=(n, d)), 0).astype(np.float32)


def test_mixtures_improve_on_either_part(rng):
    a, b = correlated_rows(rng, 3000), rng.normal(size=(128, 10))
    rest = correlated_rows(rng, 2000)
    errors = {}
    for c, s in ((8, 0), (0, 16), (8, 16)):
        model = mithral.train(a, b, n_codebooks=c, n_linear=s)
        assert (model.n_codebooks, model.n_linear) == (c, s)
        errors[c, s] = nmse(model.reference(rest), rest @ b)
        assert errors[c, s] == pytest.approx(model.report["nmse"], rel=0.25)
    assert errors[8, 16] < 0.9 * min(errors[8, 0], errors[0, 16])


@pytest.mark.parametrize("parts", [{"n_linear": 16}, {"n_codebooks": 4, "n_linear": 16}, {"n_latents": 4}])
def test_both_parts_are_fitted_to_classes(parts):
    rng = np.random.default_rng(5)
    centres, layer = rng.normal(size=(40, 24)), rng.normal(size=(24, 96)) / 5

    def rows(clusters):
        latent = centres[clusters] + 0.9 * rng.normal(size=(len(clusters), 24))
        return np.maximum(latent @ layer + 0.1 * rng.normal(size=(len(clusters), 96)), 0).astype(np.float32)

    clusters = rng.integers(40, size=2000)
    a, rest = rows(clusters), rows(rng.integers(40, size=6000))
    b = np.linalg.lstsq(a, np.eye(10)[clusters % 10], rcond=None)[0]
    exact = (rest @ b).argmax(axis=1)
    agreement = {}
    for objective in ("mse", "argmax"):
        model = mithral.train(a, b, objective=objective, **parts)
        agreement[objective] = np.mean(model.reference(rest).argmax(axis=1) == exact)
        assert (model.report["temperature"] > 0) == (objective == "argmax")
    assert agreement["argmax"] > agreement["mse"] + 0.01


def test_linear_dims_of_row_major_rows_are_whole_lines(rng):
    a, b = correlated_rows(rng, 1000), rng.normal(size=(128, 10))
    model = mithral.train(a, b, n_linear=48, layout="row")
    lines = (model.linear_dims + 4) // 16  # of a large array: it begins 16 bytes into a line
    assert model.n_linear == 48 and len(np.unique(lines)) <= 4
    whole = model.linear_dims[: 16 * (48 // 16 - 1)].reshape(-1, 16)
    assert (np.diff(whole, axis=1) == 1).all()


def test_constant_columns_are_left_out(rng):
    a = np.zeros((100, 20), np.float32)
    a[:, 3] = rng.normal(size=100)
    model = mithral.train(a, rng.normal(size=(20, 4)), n_linear=20)
    assert model.linear_dims.tolist() == [3]
    constant = mithral.train(np.ones((100, 20)), rng.normal(size=(20, 4)), n_linear=20)
    assert constant.n_linear == 0 and constant.report["nmse"] < 1e-6


@pytest.fixture(scope="module")
def rows_and_trees():
    rng = np.random.default_rng(0)
    a, b = correlated_rows(rng, 700), rng.normal(size=(128, 10))
    return a, b, correlated_rows(rng, 2000), mithral.train(a, b, n_codebooks=8)


@pytest.mark.parametrize("target, order", list(zip(mithral.isas(), itertools.cycle("CF"))))
def test_a_budget_buys_a_mixture_that_is_no_worse(rows_and_trees, order, target):
    a, b, rest, trees = rows_and_trees
    model = mithral.train(a, b, budget=8, order=order, target=target)
    assert model.n_codebooks < 8 and model.n_linear > 0, "these rows suit linear dims"
    assert model.report["target"] == target
    assert pickle.loads(pickle.dumps(model)).report == model.report
    assert model.__getstate__()["report"]["target"] == model.report["target"]
    chance = 1.1  # of validation rows, of which there are few here
    assert nmse(model.reference(rest), rest @ b) < chance * nmse(trees.reference(rest), rest @ b)


@pytest.mark.parametrize("layout", ["row", "column"])
@pytest.mark.parametrize(
    "change",
    [
        lambda a: np.concatenate([a, [[1e6] * 40]]),  # the only row that differs from the others by much
        lambda a: a * 1e30,
        lambda a: a * 1e-30,
        lambda a: np.concatenate([a[:, :39] * 0 + 3, a[:, 39:]], axis=1),
        lambda a: a[:2],
        lambda a: a[:, :1],
        lambda a: np.tile(a, (1, 30)),  # more columns than are selected one by one
        lambda a: np.repeat(a[:5], 40, axis=0),
    ],
)
def test_unusual_rows_are_learned_from(rng, change, layout):
    a = change(rng.normal(size=(300, 40)).astype(np.float64)).astype(np.float32)
    b = rng.normal(size=(a.shape[1], 3))
    for n_linear in {1, 16, min(a.shape[1], 1100)}:
        if n_linear > a.shape[1]:
            continue
        model = mithral.train(a, b, n_linear=n_linear, layout=layout)
        assert np.isfinite(model.reference(a)).all() and np.isfinite(list(model.report.values())).all()
        assert same_bytes(mithral.compile(model)(a), model.reference(a))
    order = {"row": "C", "column": "F"}[layout]
    if a.shape[1] <= 40:  # else it takes long, and no other way
        assert mithral.train(a, b, budget=2, order=order).report["target"] == mithral.isas()[-1]


def test_a_mixture_depends_on_no_number_of_threads(rows_and_trees):
    a, b, _, _ = rows_and_trees
    model, again = (mithral.train(a, b, budget=4, target="avx2", threads=n) for n in (1, 2))
    assert all(np.array_equal(getattr(model, name), getattr(again, name)) for name in NAMES)


def test_by_default_the_budget_is_sixteen_codebooks(rng):
    def steps(**options):
        def stop(done, total):
            raise KeyboardInterrupt(total)

        with pytest.raises(KeyboardInterrupt) as stopped:
            mithral.train(a, b, progress=stop, **options)
        return stopped.value.args[0]

    a, b = correlated_rows(rng, 200, d=32), rng.normal(size=(32, 4))
    assert steps() == steps(budget=16) > steps(budget=15)


@pytest.mark.parametrize(
    "options, error, text",
    [
        ({"budget": 0}, ValueError, "budget is 0; allowed: 1 to 256"),
        ({"budget": 16, "n_linear": 3}, ValueError, "budget is 16 beside n_codebooks, n_linear or n_latents"),
        ({"target": "avx3"}, ValueError, "unknown ISA 'avx3'"),
        ({"target": "avx3", "n_linear": 3}, ValueError, "unknown ISA 'avx3'"),
        ({"order": "K"}, ValueError, "order is 'K'; allowed"),
        ({"order": "K", "n_codebooks": 3}, ValueError, "order is 'K'; allowed"),
        ({"n_linear": 129}, ValueError, "n_linear is 129; allowed: 0 to 128"),
        ({"n_linear": True}, TypeError, "n_linear is of type bool"),
        ({"budget": 1.5}, TypeError, "budget is of type float"),
    ],
)
def test_bad_options_are_refused(rng, options, error, text):
    with pytest.raises(error, match=text):
        mithral.train(correlated_rows(rng, 100), rng.normal(size=(128, 4)), **options)


def test_estimates_and_descriptions_know_linear_dims(rng):
    models = [linear_model(rng, n_linear=s, n_features=400, n_codebooks=0) for s in (16, 64, 256)]
    for order in "CF":
        seconds = [mithral.estimate(model, 10_000, order=order).mithral_seconds for model in models]
        assert seconds == sorted(seconds) and seconds[2] > 1.5 * seconds[0]
    text = mithral.compile(models[0]).describe()
    assert "16 linear dims" in text and "16 columns of 7 bits" in text


@pytest.mark.parametrize("isa", mithral.isas())
@pytest.mark.parametrize("n_linear, n_codebooks", [(0, 4), (16, 4), (64, 0), (64, 4), (256, 0)])
def test_every_schedule_that_is_considered_can_be_followed(rng, isa, n_linear, n_codebooks):
    model = linear_model(rng, n_linear=n_linear, n_features=400, n_codebooks=n_codebooks)
    x = random_rows(rng, model, 70)
    kernel = mithral.compile(model, isa=isa, tune="measure")
    assert "chosen" in kernel.describe()
    assert same_bytes(kernel(x), model.reference(x))
