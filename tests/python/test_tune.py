"""mithral.estimate and mithral.tune: what is tried, in which order, and what is advised."""

import numpy as np
import pytest

import mithral
from mithral import _core
from models import random_model, same_bytes


@pytest.fixture
def samples(rng):
    factors = rng.normal(size=(800, 4))
    a = (factors @ rng.normal(size=(4, 200)) + 0.1 * rng.normal(size=(800, 200))).astype(np.float32)
    return a, rng.normal(size=(200, 5)).astype(np.float32), rng.normal(size=5)


@pytest.fixture
def trained(monkeypatch):
    """Training replaced by its bookkeeping: models of the asked-for shape, with a report that improves with C * L."""
    calls = []

    class Trained:
        def __init__(self, n_codebooks, depth, report):
            rng = np.random.default_rng(0)
            self.model = random_model(rng, n_features=200, n_outputs=5, n_codebooks=n_codebooks, depth=depth)
            self.report = report

    def train(a, b, bias=None, *, n_codebooks, depth, progress, n_linear=0, **options):
        n_codebooks += n_linear  # in the model that stands for it
        calls.append((n_codebooks, depth, options))
        if progress is not None:
            for step in range(3):
                progress(step, 2)
        report = {"nmse": 1 / (n_codebooks * depth), "argmax_agreement": 1 - 1 / (n_codebooks + depth)}
        return Trained(n_codebooks, depth, report)

    monkeypatch.setattr(mithral, "train", train)
    monkeypatch.setattr(_core, "estimate", lambda trained, n, order: (shape_time(trained, n, order), 1e-3))
    return calls


def shape_time(trained, n_rows, order):
    return 1e-5 * trained.model.n_codebooks * trained.model.depth


def cells(result):
    return [(row.n_codebooks, row.depth) for row in result.table]


def test_estimates_are_of_the_model(rng):
    model = random_model(rng, n_features=512, n_outputs=100, n_codebooks=16)
    estimate = mithral.estimate(model, 10_000)
    assert 0 < estimate.mithral_seconds < estimate.exact_seconds < 1
    assert estimate.recommendation == "mithral"
    assert mithral.estimate(model, 20_000).mithral_seconds > estimate.mithral_seconds
    columns = mithral.estimate(model, 10_000, order="F")
    assert columns.mithral_seconds < estimate.mithral_seconds and columns.exact_seconds == estimate.exact_seconds
    one_line = mithral.Model(
        split_dims=np.zeros((16, 4), np.int32),
        **{name: getattr(model, name) for name in ("thresholds", "lut", "scale", "offset", "n_features")},
    )
    assert mithral.estimate(one_line, 10_000).mithral_seconds < estimate.mithral_seconds
    small = random_model(rng, n_features=3, n_outputs=2, n_codebooks=64)
    assert mithral.estimate(small, 1000).recommendation == "exact"


@pytest.mark.parametrize(
    "arguments, options, error, text",
    [
        ((-1,), {}, ValueError, "n_rows is -1; allowed: 0 or more"),
        ((1.5,), {}, TypeError, "n_rows is of type float; expected an integer"),
        ((1,), {"order": "A"}, ValueError, "order is 'A'; allowed: 'C' .* and 'F'"),
        ((1,), {"order": None}, TypeError, "order is None; expected a string"),
    ],
)
def test_bad_estimates_are_refused(model, arguments, options, error, text):
    with pytest.raises(error, match=text):
        mithral.estimate(model, *arguments, **options)


def test_an_estimate_needs_a_model(rng):
    with pytest.raises(TypeError, match="model is of type ndarray; expected a mithral.Model"):
        mithral.estimate(rng.normal(size=(3, 3)), 5)


def test_the_cheapest_model_that_meets_the_target_is_found(samples):
    result = mithral.tune(*samples, max_error=0.2, codebooks=(16, 1, 4, 8, 2), seed=3)
    assert result.recommendation == "mithral"
    *missed, last = result.table
    assert cells(result) == [(c, 4) for c in (1, 2, 4, 8, 16)][: len(result.table)] and len(missed) >= 1
    assert all(row.nmse > 0.2 and not row.meets_target and not row.chosen for row in missed)
    assert last.nmse <= 0.2 and last.meets_target and last.chosen
    assert (last.nmse, last.agreement) == (result.model.report["nmse"], result.model.report["argmax_agreement"])
    assert (last.seconds, last.exact_seconds) == mithral.estimate(result.model, 10_000)
    same = mithral.train(*samples, n_codebooks=last.n_codebooks, seed=3, layout="row")
    assert same_bytes(same.lut, result.model.lut) and same_bytes(same.offset, result.model.offset)


def test_linear_dims_are_tried_first_and_bound_the_others(samples, trained):
    result = mithral.tune(*samples, max_error=1e-9, order="F")
    linear = [row.n_linear for row in result.table if row.n_codebooks == 0]
    assert linear == sorted({min(s, 200) for s in (*mithral.tuning.LINEAR, 200)})
    assert all(row.n_codebooks == 0 for row in result.table[: len(linear)])
    assert {(row.n_codebooks > 0, row.n_linear > 0) for row in result.table} == {(False, True), (True, False), (True, True)}


@pytest.mark.parametrize("order", ["C", "F"])
def test_there_is_an_answer_for_every_error(rng, samples, order):
    a, b = samples[0], rng.normal(size=(200, 20))
    for max_error in (0.3, 2e-3):
        result = mithral.tune(a, b, max_error=max_error, order=order, codebooks=(0, 1, 2), linear=(0, 4, 16, 64, 200))
        assert result.recommendation == "mithral" and result.model.report["nmse"] <= max_error
        meeting = [row for row in result.table if row.meets_target]
        assert [row for row in meeting if row.chosen] == [min(meeting, key=lambda row: row.seconds)]


def test_latents_are_tried_where_outputs_are_many(rng, samples):
    a, b = samples[0], rng.normal(size=(200, 6)) @ rng.normal(size=(6, 300))
    result = mithral.tune(a, b, max_error=2e-3)
    assert result.recommendation == "mithral" and result.model.n_latents > 0
    assert {row.n_latents > 0 for row in result.table} == {True, False}
    chosen = next(row for row in result.table if row.chosen)
    assert (chosen.n_codebooks, chosen.n_linear) == (0, 0) and result.model.n_latents == min(chosen.n_latents, 6)
    assert f"{chosen.n_latents:>7}     4" in str(result)
    alone = mithral.tune(a, b, max_error=1e-9, latents=[32, 8])
    assert [row.n_latents for row in alone.table] == [8, 32]
    assert alone.recommendation == "exact"
    both = mithral.tune(a, b, max_error=1e-9, latents=(8,), linear=(16,), codebooks=(0,))
    assert {(row.n_latents, row.n_linear) for row in both.table} == {(8, 0), (0, 16)}
    assert mithral.tuning._numbers_of_latents(200, 31, None, by_default=True) == [], "of few outputs there is little to share"


@pytest.mark.parametrize("latents, error, text", [
    ((0, 4), ValueError, "latents has 0; allowed: 1 to 200, the least of B's rows, its columns and 512"),
    ((201,), ValueError, "latents has 201; allowed: 1 to 200"),
    (8, TypeError, r"latents is 8; expected several integers, like \(4, 8\)"),
    ((), ValueError, "latents is empty"),
    ((1.5,), TypeError, "an entry of latents is of type float"),
])
def test_bad_numbers_of_latents_are_refused(rng, samples, latents, error, text):
    with pytest.raises(error, match=text):
        mithral.tune(samples[0], rng.normal(size=(200, 300)), max_error=0.1, latents=latents)


def test_the_cheapest_is_chosen_by_the_times_of_what_was_trained(samples, trained, monkeypatch):
    expected = lambda *, n_linear, **shape: (2e-6 if n_linear else 1.5e-6, 1e-3)  # noqa: E731
    turned_out = lambda model, n, order: ({4: 3e-6, 1: 2.5e-6}[model.model.n_codebooks], 1e-3)  # noqa: E731
    monkeypatch.setattr(_core, "estimate_shape", expected)
    monkeypatch.setattr(_core, "estimate", turned_out)
    result = mithral.tune(*samples, max_error=0.9, codebooks=(0, 1), linear=(4, 0))
    tried = [(row.n_codebooks, row.n_linear, row.chosen) for row in result.table]
    assert tried == [(0, 4, False), (1, 0, True)]  # and (1, 4) is expected to be slower


def test_no_codebooks_are_left_out_among_others(samples, trained):
    result = mithral.tune(*samples, max_error=1e-9, codebooks=np.array([0, 4]))
    assert cells(result) == [(4, 4)]


def test_models_are_tried_in_order_of_their_estimated_time(samples, trained):
    result = mithral.tune(*samples, max_error=1e-9, codebooks=(2, 8, 4), depths=iter((2, 4)), order="F")
    assert sorted(cells(result)) == [(c, d) for c in (2, 4, 8) for d in (2, 4)]

    def seconds(cell):
        return _core.estimate_shape(
            n_features=200, n_outputs=5, n_codebooks=cell[0], depth=cell[1], n_rows=10_000, order="F"
        )

    assert cells(result) == sorted(cells(result), key=seconds)


def test_what_takes_as_long_as_the_exact_product_is_never_trained(samples, trained):
    a, b, bias = samples
    shape = {"n_features": 80, "n_outputs": 5, "depth": 4, "n_rows": 10_000, "order": "F"}
    exact = _core.estimate_shape(n_codebooks=1, **shape)[1]
    codebooks = mithral.tuning.CODEBOOKS
    result = mithral.tune(a[:, :80], b[:80], bias, max_error=1e-9, order="F", codebooks=codebooks)
    tried = [n_codebooks for n_codebooks, _, _ in trained]
    assert tried == sorted(tried) and 1 < len(tried) < len(codebooks)
    for n_codebooks in codebooks:
        assert (n_codebooks in tried) == (_core.estimate_shape(n_codebooks=n_codebooks, **shape)[0] < exact)
    assert result.recommendation == "exact" and "meets the target" in result.reason
    assert result.model.model.n_codebooks == tried[-1], "the most accurate one is handed over all the same"
    assert [row.chosen for row in result.table] == [False] * (len(tried) - 1) + [True]


def test_nothing_is_trained_where_the_exact_product_wins_anyway(rng, trained):
    a, b = rng.normal(size=(500, 3)), rng.normal(size=(3, 2))
    result = mithral.tune(a, b, max_error=0.5, codebooks=[64], n_rows=10**6)
    assert (result.model, result.recommendation, result.table, trained) == (None, "exact", [], [])
    assert "every candidate" in result.reason


def test_a_trained_model_that_is_slower_than_expected_is_not_recommended(samples, trained, monkeypatch):
    monkeypatch.setattr(_core, "estimate", lambda trained, n, order: (2e-3, 1e-3))
    result = mithral.tune(*samples, max_error=0.5, codebooks=(4,), order="F")
    assert result.recommendation == "exact" and result.table[0].meets_target and result.model is not None


def test_agreement_and_error_together(samples, trained):
    by_agreement = mithral.tune(*samples, min_agreement=0.9, codebooks=(1, 2, 4, 6, 8), order="F")
    assert cells(by_agreement)[-1] == (6, 4)
    by_error = mithral.tune(*samples, max_error=0.07, codebooks=(1, 2, 4, 6, 8))
    assert cells(by_error)[-1] == (4, 4)
    both = mithral.tune(*samples, max_error=0.07, min_agreement=0.9, codebooks=(1, 2, 4, 6, 8), order="F")
    assert cells(both)[-1] == (6, 4)
    hopeless = mithral.tune(*samples, min_agreement=1, codebooks=(4, 2))
    assert hopeless.recommendation == "exact" and hopeless.model.model.n_codebooks == 4


def test_options_of_train_are_passed_on(samples, trained):
    mithral.tune(*samples, max_error=0.9, codebooks=(4,), seed=7, threads=2, objective="mse", layout="row")
    assert trained == [(4, 4, {"seed": 7, "threads": 2, "objective": "mse", "layout": "row", "order": "C"})]


def test_an_option_that_train_does_not_know_is_refused(samples):
    with pytest.raises(TypeError, match="objektive"):
        mithral.tune(*samples, max_error=0.5, codebooks=(2,), objektive="mse")


def test_the_text_is_a_table(samples, trained):
    result = mithral.tune(*samples, max_error=0.07, codebooks=(1, 2, 4))
    lines = str(result).splitlines()
    assert len(lines) == 6 and "codebooks" in lines[0] and "<- chosen" in lines[4]
    assert lines[4].split()[:5] == ["4", "0", "0", "4", "0.062"]
    assert lines[5] == "mithral: the cheapest model that meets the target, 1 - R2 of at most 0.07"
    assert repr(result) == str(result)
    assert "<- closest" in str(mithral.tune(*samples, max_error=1e-9, codebooks=(1, 2)))


def test_progress_ends_at_the_total_though_the_search_ends_early(samples, trained):
    steps = []
    codebooks = np.array([1, 2, 4, 6])
    mithral.tune(
        *samples, max_error=0.07, codebooks=codebooks, order="F", progress=lambda *step: steps.append(step)
    )
    done, totals = zip(*steps)
    assert list(done) == sorted(done) and done[0] == 0 and done[-2:] == ((1 + 2 + 4) * 4, (1 + 2 + 4 + 6) * 4)
    assert set(totals) == {(1 + 2 + 4 + 6) * 4}
    assert {type(number) for step in steps for number in step} == {int}


def test_progress_ends_though_nothing_is_tried(rng, trained):
    steps = []
    a, b = rng.normal(size=(500, 3)), rng.normal(size=(3, 2))
    mithral.tune(a, b, max_error=0.5, codebooks=(64,), progress=lambda *step: steps.append(step))
    assert steps == [(1, 1)] and trained == []


@pytest.mark.parametrize(
    "change, error, text",
    [
        ({"A": None}, TypeError, "A is of type NoneType"),
        ({"A": np.full((800, 3), np.nan)}, ValueError, r"A\[0, 0\] is nan"),
        ({"A": np.ones((800, 4))}, ValueError, "A has 4 columns but B has 3 rows"),
        ({"A": np.ones((1, 3))}, ValueError, "rows of A is 1; allowed: 2 to"),
        ({"B": np.array([["x"]] * 3)}, ValueError, "B has dtype <U1"),
        ({"bias": np.zeros(5)}, ValueError, r"bias has shape \(5,\); expected \(2,\)"),
        ({"seed": -1}, ValueError, "seed is -1"),
        ({"threads": "x"}, TypeError, "threads is of type str"),
        ({"objective": "foo"}, ValueError, 'objective is "foo"'),
        ({"objektive": "mse"}, TypeError, "objektive"),
        ({"codebooks": (64, 256), "depths": (4, 8), "B": np.ones((3, 2**19))}, ValueError, "256 codebooks .* take"),
    ],
)
def test_what_train_refuses_is_refused_where_nothing_is_trained(rng, change, error, text):
    good = {"A": rng.normal(size=(800, 3)), "B": rng.normal(size=(3, 2)), "codebooks": (64,), "n_rows": 1000}
    assert mithral.tune(**good, max_error=0.5).model is None
    with pytest.raises(error, match=text):
        mithral.tune(**{**good, **change}, max_error=0.5)


def test_the_bar_is_one_line_in_a_file(samples, capfd):
    mithral.tune(*samples, max_error=0.9, codebooks=(2,), progress=True)
    assert capfd.readouterr().err.startswith("tuning: done after ")


def test_an_exception_from_progress_stops_the_search(samples):
    steps = []

    def progress(done, total):
        steps.append(done)
        if done > 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mithral.tune(*samples, max_error=1e-9, codebooks=(2, 4, 8), progress=progress)
    assert 8 < steps[-1] <= 8 + 16


@pytest.mark.parametrize(
    "options, error, text",
    [
        ({}, ValueError, "neither max_error nor min_agreement is given"),
        ({"max_error": 0}, ValueError, "max_error is 0; allowed: more than 0 and less than 1"),
        ({"max_error": 1}, ValueError, "max_error is 1; allowed"),
        ({"max_error": float("nan")}, ValueError, "max_error is nan; allowed"),
        ({"max_error": "small"}, TypeError, "max_error is 'small'; expected a number"),
        ({"max_error": True}, TypeError, "max_error is True; expected a number"),
        ({"min_agreement": 0}, ValueError, "min_agreement is 0; allowed: more than 0 and at most 1"),
        ({"min_agreement": 99}, ValueError, "min_agreement is 99; allowed"),
        ({"min_agreement": [0.9]}, TypeError, r"min_agreement is \[0.9\]; expected a number"),
        ({"max_error": 0.1, "codebooks": ()}, ValueError, "codebooks is empty"),
        ({"max_error": 0.1, "linear": ()}, ValueError, "linear is empty"),
        ({"max_error": 0.1, "linear": (0,), "codebooks": [0]}, ValueError, "codebooks and linear are all 0"),
        ({"max_error": 0.1, "linear": (300,)}, ValueError, "linear has 300; allowed: 0 to 200"),
        ({"max_error": 0.1, "n_linear": 3}, TypeError, r"several values of n_linear; pass linear=\(3,\)"),
        ({"max_error": 0.1, "codebooks": 8}, TypeError, r"codebooks is 8; expected several integers, like \(4, 8\)"),
        ({"max_error": 0.1, "codebooks": np.array(4)}, TypeError, r"codebooks is array\(4\); expected several integers"),
        ({"max_error": 0.1, "depths": 4}, TypeError, r"depths is 4; expected several integers, like \(4, 8\)"),
        ({"max_error": 0.1, "codebooks": (0,)}, ValueError, "codebooks and linear are all 0; allowed: at least one"),
        ({"max_error": 0.1, "codebooks": (1.5,)}, TypeError, "an entry of codebooks is of type float"),
        ({"max_error": 0.1, "depths": (0,)}, ValueError, "depth is 0; allowed: 1 to"),
        ({"max_error": 0.1, "n_codebooks": 8}, TypeError, r"several values of n_codebooks; pass codebooks=\(8,\)"),
        ({"max_error": 0.1, "depth": 3}, TypeError, r"several values of depth; pass depths=\(3,\)"),
        ({"max_error": 0.1, "n_rows": -1}, ValueError, "n_rows is -1; allowed: 1 or more"),
        ({"max_error": 0.1, "n_rows": 0}, ValueError, "n_rows is 0; allowed: 1 or more"),
        ({"max_error": 0.1, "n_rows": 2.5}, TypeError, "n_rows is of type float; expected an integer"),
        ({"max_error": 0.1, "codebooks": (True,)}, TypeError, "an entry of codebooks is of type bool"),
        ({"max_error": 0.1, "order": "K"}, ValueError, "order is 'K'; allowed"),
        ({"max_error": 0.1, "progress": 3}, TypeError, "progress is 3; expected None, True or a function"),
        ({"max_error": 0.1, "progress": 0}, TypeError, "progress is 0; expected None, True or a function"),
    ],
)
def test_bad_targets_and_candidates_are_refused(samples, trained, options, error, text):
    with pytest.raises(error, match=text):
        mithral.tune(*samples, **options)
    assert trained == []


def test_bad_matrices_are_refused(samples):
    a, b, _ = samples
    with pytest.raises(TypeError, match="B is of type list"):
        mithral.tune(a, b.tolist(), max_error=0.1)
    with pytest.raises(ValueError, match=r"B has shape \(200,\); expected \(D, M\)"):
        mithral.tune(a, b[:, 0], max_error=0.1)
    with pytest.raises(ValueError, match="B has one column"):
        mithral.tune(a, b[:, :1], min_agreement=0.9)
    with pytest.raises(ValueError, match="16 columns.* 200 rows"):
        mithral.tune(a[:, :16], b, max_error=0.1)
