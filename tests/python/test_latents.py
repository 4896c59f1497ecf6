"""Latents: all outputs through the outputs of a small model, as codes."""

import pickle

import numpy as np
import pytest
from models import random_rows, same_bytes
from test_linear import BACKENDS, linear_model, nmse, oracle

import mithral


def latent_model(rng, n_latents=6, n_linear=8, n_features=20, n_outputs=70, n_codebooks=3):
    inner = linear_model(rng, n_features=n_features, n_outputs=n_latents)
    sums = oracle(inner, random_rows(rng, inner, 100))
    scale = (150 / np.ptp(sums, axis=0)).astype(np.float32)
    inner = changed(inner, scale=scale, offset=(-10 - sums.min(axis=0) * scale).astype(np.float32))
    outer = linear_model(rng, n_linear=n_linear, n_features=n_features, n_outputs=n_outputs, n_codebooks=n_codebooks)
    weights = rng.integers(-128, 128, (n_latents, n_outputs), dtype=np.int8)
    return changed(outer, latents=inner, latent_weights=weights)


def changed(model, **arrays):
    state = {name: value for name, value in model.__getstate__().items() if name != "report"}
    return mithral.Model(**state | arrays)


def latent_codes(model, x):
    z = model.latents.reference(x)
    return np.where(z > 0, np.rint(np.minimum(z, np.float32(127))), 0).astype(np.int64)


@pytest.mark.parametrize("backend, isa", BACKENDS)
@pytest.mark.parametrize("n_codebooks", [0, 3])
def test_every_backend_gives_the_contract(rng, backend, isa, n_codebooks):
    if isa is not None and isa not in mithral.host()["isas"]:
        pytest.skip(f"this CPU has no {isa}")
    model = latent_model(rng, n_codebooks=n_codebooks)
    kernel = mithral.compile(model, backend=backend, isa=isa)
    for n in (1, 70, 300):
        x = random_rows(rng, model, n)
        codes = latent_codes(model, x)
        assert len(np.unique(codes)) > 5, "rows have different latents"
        sums = oracle(model, x) + codes @ model.latent_weights.astype(np.int64)
        y = sums.astype(np.float32) * model.scale + model.offset
        assert same_bytes(model.reference(x), y)
        for rows in (x, np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2]):
            assert same_bytes(kernel(rows), y)
        assert same_bytes(kernel.sums(x), sums.astype(np.int32))
        assert np.array_equal(kernel.argmax(x), y.argmax(axis=1))
        assert np.array_equal(kernel.encode(x), model.encode(x))


def test_threads_do_not_matter(rng):
    model = latent_model(rng, n_features=40, n_outputs=500)
    x = random_rows(rng, model, 5000)
    assert same_bytes(mithral.compile(model)(x), mithral.compile(model, threads=2)(x))


def test_arrays_come_back_and_models_are_pickled(rng):
    model = latent_model(rng)
    again = pickle.loads(pickle.dumps(model))
    assert (again.n_latents, again.n_linear, again.shift) == (6, 8, 3)
    assert again.latent_weights.dtype == np.int8 and same_bytes(again.latent_weights, model.latent_weights)
    assert same_bytes(again.linear_weights, model.linear_weights) and not again.latent_weights.flags.writeable
    assert same_bytes(again.latents.scale, model.latents.scale) and again.latents.n_outputs == 6
    plain = linear_model(rng)
    assert (plain.n_latents, plain.latents, plain.latent_weights.shape) == (0, None, (0, 7))


@pytest.mark.parametrize(
    "change, text",
    [
        ({"latents": None}, "one of latents and latent_weights is None"),
        ({"latent_weights": None}, "one of latents and latent_weights is None"),
        ({"latent_weights": np.zeros((5, 70), int)}, r"latent_weights has shape \(5, 70\); expected \(6, 70\)"),
        ({"latent_weights": np.full((6, 70), 128)}, "latent_weights.*128"),
        ({"latent_weights": np.zeros((6, 70))}, "latent_weights has dtype float64"),
        ({"n_features": 21}, "latents' model has 20 features; expected those of the rows: 21"),
    ],
)
def test_bad_arrays_are_refused(rng, change, text):
    with pytest.raises(mithral.BadModelError, match=text):
        changed(latent_model(rng), **change)


@pytest.mark.parametrize("missing", ["shift", "latent_weights", "latents"])
def test_states_that_lack_an_array_are_refused(rng, missing):
    state = latent_model(rng).__getstate__()
    del state[missing]
    with pytest.raises(mithral.BadModelError, match=missing):
        mithral.Model.__new__(mithral.Model).__setstate__(state)


def test_bad_models_are_refused(rng):
    model = latent_model(rng)
    with pytest.raises(mithral.BadModelError, match="latents of its own"):
        changed(model, latents=model, latent_weights=np.zeros((70, 70), int))
    with pytest.raises(TypeError):
        changed(model, latents="a model")
    with pytest.raises(mithral.BadModelError, match="there are 7 linear dims beside latents; allowed: multiples of 4"):
        latent_model(rng, n_linear=7)
    kernel = mithral.compile(model)
    with pytest.raises(ValueError, match="8 linear dims and 6 latents"):
        kernel.scan(kernel.encode(random_rows(rng, model, 5)))


def factored(rng, n, n_outputs=300, n_factors=12):
    """Rows of 60 columns, B of n_outputs, that depend on few factors and a little noise."""
    fixed = np.random.default_rng(3)
    mix, layer = fixed.normal(size=(n_factors, 60)), fixed.normal(size=(60, n_outputs))
    return rng.normal(size=(n, n_factors)) @ mix + 0.05 * rng.normal(size=(n, 60)), layer


def test_few_latents_are_enough_where_outputs_depend_on_each_other(rng):
    a, b = factored(rng, 2000)
    rest, bias = factored(rng, 1000)[0], rng.normal(size=300)
    model = mithral.train(a, b, bias, n_latents=12)
    assert (model.n_latents, model.n_codebooks, model.n_linear) == (12, 0, 0)
    error = nmse(mithral.compile(model)(rest), rest @ b + bias)
    assert error < 0.003 and error == pytest.approx(model.report["nmse"], rel=0.3)
    fewer = mithral.train(a, b, bias, n_latents=6)
    assert nmse(fewer.reference(rest), rest @ b + bias) > 10 * error


@pytest.mark.parametrize("order", ["C", "F"])
def test_linear_dims_catch_what_latents_miss(rng, order):
    a, b = factored(rng, 2000)
    rest = factored(rng, 1000)[0]
    alone, beside = (mithral.train(a, b, n_latents=6, n_linear=s, order=order) for s in (0, 15))
    assert beside.n_linear == 16 and beside.n_latents == 6
    assert nmse(beside.reference(rest), rest @ b) < 0.5 * nmse(alone.reference(rest), rest @ b)


def test_training_depends_on_no_number_of_threads(rng):
    a, b = factored(rng, 500)
    model, again = (mithral.train(a, b, n_latents=8, n_linear=4, threads=n) for n in (1, 2))
    assert same_bytes(model.latent_weights, again.latent_weights) and same_bytes(model.latents.offset, again.latents.offset)


@pytest.mark.parametrize("change", [lambda a: a * 1e30, lambda a: a * 1e-30, lambda a: a[:2], lambda a: a * 0 + 3])
def test_unusual_rows_are_learned_from(rng, change):
    a = change(rng.normal(size=(300, 20))).astype(np.float32)
    model = mithral.train(a, rng.normal(size=(20, 30)), n_latents=5)
    assert np.isfinite(model.reference(a)).all()
    assert same_bytes(mithral.compile(model)(a), model.reference(a))


def test_a_budget_is_spent_on_latents_where_they_are_best(rng):
    a, b = factored(rng, 600, n_outputs=400, n_factors=8)
    rest = factored(rng, 1000, n_outputs=400, n_factors=8)[0]
    model = mithral.train(a, b, budget=8, order="F", target="avx512_vbmi")
    trees = mithral.train(a, b, n_codebooks=8)
    assert model.n_latents > 0 and model.n_codebooks == 0
    assert nmse(model.reference(rest), rest @ b) < 0.2 * nmse(trees.reference(rest), rest @ b)


@pytest.mark.parametrize(
    "options, text",
    [
        ({"n_latents": 21}, "n_latents is 21; allowed: 0 to 20"),
        ({"n_latents": -1}, "n_latents is -1; allowed: 0 to 20"),
        ({"n_latents": 4, "n_codebooks": 2}, "n_codebooks is 2 beside latents; allowed: 0"),
        ({"n_latents": 4, "budget": 2}, "budget is 2 beside"),
        ({"n_latents": 0}, "n_codebooks, n_linear and n_latents are 0"),
    ],
)
def test_bad_options_are_refused(rng, options, text):
    with pytest.raises(ValueError, match=text):
        mithral.train(rng.normal(size=(50, 20)), rng.normal(size=(20, 30)), **options)


def test_estimates_and_descriptions_know_latents(rng):
    model = latent_model(rng, n_features=300, n_outputs=500)
    without = changed(model, latents=None, latent_weights=None)
    assert mithral.estimate(model, 1000).mithral_seconds > mithral.estimate(without, 1000).mithral_seconds
    kernel = mithral.compile(model)
    assert "6 latents" in kernel.describe() and "6 latents" in repr(model)
    assert "of the latents" in kernel.program() and "of the latents" in kernel.listing()
    kernel(random_rows(rng, model, 50))
    assert kernel.table_size > 0


@pytest.mark.parametrize("rank", [0, 1, 5])
def test_there_are_no_more_latents_than_outputs_have_directions(rng, rank):
    a = rng.normal(size=(1000, 40))
    b = rng.normal(size=(40, rank)) @ rng.normal(size=(rank, 100))
    model = mithral.train(a, b, n_latents=16)
    assert model.n_latents == rank
    y = mithral.compile(model)(a)
    assert np.square(y - a @ b).sum() <= 2e-3 * np.square(a @ b).sum()
