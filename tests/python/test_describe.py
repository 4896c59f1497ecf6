"""compile(tune=) and kernel.describe()."""

import numpy as np
import pytest

import mithral
from models import random_model, random_rows, same_bytes


@pytest.fixture
def model(rng):
    return random_model(rng, n_features=64, n_outputs=60, n_codebooks=16)


def test_describe_lists_choices_candidates_and_refusals(model):
    text = mithral.compile(model, isa="avx2").describe()
    assert text.startswith("jit kernel for avx2: 64 -> 60, 16 codebooks of 16 entries, 1 thread\n")
    for part in ("codes", "sums", "row-major outputs", "as chosen", "refused: ", "the exact product about"):
        assert part in text


def test_measured_schedules_change_no_result(rng, model):
    if not mithral.host()["isas"]:
        pytest.skip("this CPU runs no emitted code")
    kernel = mithral.compile(model, tune="measure")
    assert "made-up rows" in kernel.describe()
    x = random_rows(rng, model, 777)
    assert same_bytes(kernel(x), mithral.compile(model)(x))
    assert same_bytes(kernel(np.asfortranarray(x)), model.reference(x))


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"tune": "fast"}, ValueError, "unknown tune 'fast'; allowed: rules, measure"),
        ({"tune": 3}, TypeError, "tune is 3"),
        ({"tune": "measure", "backend": "generic"}, ValueError, "it needs backend jit"),
    ],
)
def test_nonsense_is_refused(model, options, error, words):
    with pytest.raises(error, match=words):
        mithral.compile(model, **options)
