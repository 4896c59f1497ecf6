"""mithral.Model: what it accepts, shows, computes and survives."""

import copy
import pickle
import sys

import numpy as np
import pytest

import mithral
from models import oracle, oracle_codes, random_arrays, random_model, random_rows, same_bytes

ARRAYS = {
    "split_dims": np.int32,
    "thresholds": np.float32,
    "lut": np.uint8,
    "scale": np.float32,
    "offset": np.float32,
}


def test_attributes_are_what_was_given(rng):
    arrays = random_arrays(rng, n_features=11, n_outputs=3, n_codebooks=2, depth=3)
    model = mithral.Model(**arrays)
    assert (model.n_features, model.n_outputs, model.n_codebooks, model.depth) == (11, 3, 2, 3)
    for name, dtype in ARRAYS.items():
        assert getattr(model, name).dtype == dtype
        assert np.array_equal(getattr(model, name), arrays[name])
    assert model.report == {}
    assert repr(model) == "<mithral.Model: 11 features -> 3 outputs, 2 codebooks of depth 3>"


def test_the_model_keeps_its_own_copy(rng):
    arrays = random_arrays(rng)
    model = mithral.Model(**arrays)
    before = model.lut.copy()
    arrays["lut"][:] = 0
    assert np.array_equal(model.lut, before)


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_are_read_only(model, name):
    array = getattr(model, name)
    with pytest.raises(ValueError, match="read-only"):
        array[...] = 0
    with pytest.raises(ValueError, match="WRITEABLE"):
        array.setflags(write=True)


def test_arrays_outlive_the_model(rng):
    arrays = random_arrays(rng)
    lut = mithral.Model(**arrays).lut
    assert np.array_equal(lut, arrays["lut"])


def test_arrays_convert_from_other_dtypes_and_orders(rng):
    arrays = random_arrays(rng)
    model = mithral.Model(
        split_dims=np.asfortranarray(arrays["split_dims"].astype(np.uint64)),
        thresholds=arrays["thresholds"].astype(np.float64)[::-1][::-1],
        lut=arrays["lut"].astype(">i4"),
        scale=arrays["scale"].astype(np.float64),
        offset=memoryview(arrays["offset"]),
        n_features=np.int16(arrays["n_features"]),
    )
    for name in ARRAYS:
        assert np.array_equal(getattr(model, name), arrays[name])


@pytest.mark.parametrize(
    "change, text",
    [
        (lambda a: {"split_dims": a["split_dims"] + 20}, r"split_dims\[0, 0\] is \d+; allowed: 0 to 19"),
        (lambda a: {"split_dims": a["split_dims"] - 20}, r"split_dims\[0, 0\] is -\d+; allowed: 0 to 19"),
        (lambda a: {"split_dims": a["split_dims"].astype(int) + 2**40}, "split_dims has values from .* allowed: "),
        (lambda a: {"split_dims": a["split_dims"].astype(float)}, "split_dims has dtype float64; expected an integer"),
        (lambda a: {"split_dims": a["split_dims"][0]}, r"split_dims has shape \(4,\); expected \(n_codebooks, depth\)"),
        (lambda a: {"split_dims": np.zeros((5, 0), int)}, "depth .*0; allowed: 1 to 8"),
        (lambda a: {"split_dims": np.zeros((5, 9), int)}, "depth .*9; allowed: 1 to 8"),
        (lambda a: {"thresholds": a["thresholds"] * np.nan}, r"thresholds\[0, 0\] is NaN"),
        (lambda a: {"thresholds": a["thresholds"][:, 1:]}, r"thresholds has shape \(5, 14\); expected \(5, 15\)"),
        (lambda a: {"thresholds": a["thresholds"].astype(int, casting="unsafe")}, "thresholds has dtype int64"),
        (lambda a: {"lut": a["lut"].astype(int) + 1}, "lut has values from .* to 256; allowed: 0 to 255"),
        (lambda a: {"lut": a["lut"].astype(int) - 1}, "lut has values from -1 to .*; allowed: 0 to 255"),
        (lambda a: {"lut": a["lut"][:4]}, r"lut has shape \(4, 16, 7\); expected \(5, 16, 7\)"),
        (lambda a: {"lut": a["lut"][0]}, r"lut has shape \(16, 7\); expected \(n_codebooks, 2\*\*depth, n_outputs\)"),
        (lambda a: {"scale": a["scale"] * np.inf}, r"scale\[0\] is -?inf"),
        (lambda a: {"scale": a["scale"][:, None]}, r"scale has shape \(7, 1\); expected \(7,\)"),
        (lambda a: {"offset": a["offset"] * np.nan}, r"offset\[0\] is -?nan"),
        (lambda a: {"offset": a["offset"][1:]}, r"offset has shape \(6,\); expected \(7,\)"),
        (lambda a: {"n_features": 0}, "n_features .*0; allowed: 1 to"),
        (lambda a: {"split_dims": a["split_dims"][:0], "thresholds": a["thresholds"][:0], "lut": a["lut"][:0]},
         "no codebooks and no linear dims; allowed: at least one of either"),
        (lambda a: {"lut": a["lut"][..., :0], "scale": a["scale"][:0], "offset": a["offset"][:0]},
         "n_outputs .*0; allowed: 1 to"),
    ],
)  # fmt: skip
def test_bad_content_is_refused(rng, change, text):
    arrays = random_arrays(rng)
    with np.errstate(invalid="ignore"):
        arrays.update(change(arrays))
    with pytest.raises(mithral.BadModelError, match=text):
        mithral.Model(**arrays)


def test_too_many_codebooks_are_refused(rng):
    with pytest.raises(mithral.BadModelError, match="n_codebooks .*257; allowed: 0 to 256"):
        random_model(rng, n_codebooks=257, depth=1)


@pytest.mark.parametrize("name", ARRAYS)
def test_what_is_not_an_array_is_a_type_error(rng, name):
    arrays = random_arrays(rng)
    arrays[name] = arrays[name].tolist()
    with pytest.raises(TypeError, match=f"{name} is of type list; expected a NumPy array"):
        mithral.Model(**arrays)


@pytest.mark.parametrize("value, error", [(2.0, TypeError), ("20", TypeError), (None, TypeError), (2**70, ValueError)])
def test_n_features_is_an_integer(rng, value, error):
    with pytest.raises(error, match="n_features is"):
        mithral.Model(**{**random_arrays(rng), "n_features": value})


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (3, 2, 17, 2), (64, 100, 16, 4), (5, 1, 256, 3), (40, 3, 9, 8)])
def test_encode_and_reference_follow_the_contract(rng, shape):
    n_features, n_outputs, n_codebooks, depth = shape
    model = random_model(rng, n_features=n_features, n_outputs=n_outputs, n_codebooks=n_codebooks, depth=depth)
    x = random_rows(rng, model, 200)
    assert same_bytes(model.encode(x), oracle_codes(model, x))
    assert same_bytes(model.reference(x), oracle(model, x))


@pytest.mark.parametrize("method", ["encode", "reference"])
def test_wrong_rows_are_refused(model, method):
    with pytest.raises(ValueError, match=r"3 columns; expected 20"):
        getattr(model, method)(np.zeros((4, 3), np.float32))
    with pytest.raises(TypeError, match="X is of type list"):
        getattr(model, method)([[0.0] * 20])


def pickled(protocol):
    return lambda model: pickle.loads(pickle.dumps(model, protocol))


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, *map(pickled, range(pickle.HIGHEST_PROTOCOL + 1))]
)
def test_copies_are_equal(rng, duplicate):
    a = rng.normal(size=(300, 20)).astype(np.float32)
    model = mithral.train(a, rng.normal(size=(20, 7)), n_codebooks=3)
    twin = duplicate(model)
    assert type(twin) is mithral.Model
    assert twin.report == model.report and twin.n_features == model.n_features
    for name in ARRAYS:
        assert same_bytes(getattr(twin, name), getattr(model, name))


def test_a_pickled_model_is_checked(model):
    state = model.__getstate__()
    with pytest.raises(mithral.BadModelError, match="split_dims"):
        mithral.Model.__new__(mithral.Model).__setstate__({**state, "n_features": 1})


def test_objects_that_were_never_initialised_are_refused():
    class TooEarly(mithral.Model):
        def __init__(self):
            self.depth

    made = [
        lambda: mithral.Model.__new__(mithral.Model).depth,
        lambda: repr(mithral.Model.__new__(mithral.Model)),
        lambda: mithral.compile(mithral.Model.__new__(mithral.Model)),
        lambda: mithral.Kernel.__new__(mithral.Kernel).code_size,
        lambda: mithral.Kernel.__new__(mithral.Kernel)(np.zeros((1, 1), np.float32)),
        lambda: pickle.loads(b"\x80\x02cmithral\nModel\n)\x81.").lut,
        TooEarly,
    ]
    for make in made:
        with pytest.raises(TypeError, match="never initialised"):
            make()


@pytest.mark.skipif(sys.version_info < (3, 10), reason="types of extension modules are mutable before Python 3.10")
def test_a_model_does_not_become_a_kernel(model):
    with pytest.raises(TypeError):
        model.__class__ = mithral.Kernel


@pytest.mark.parametrize(
    "change, complaint",
    [
        (lambda state: state.pop("lut"), "has no 'lut'"),
        (lambda state: state.update(report=[1]), "not a dict"),
        (lambda state: state.update(report={"n_train": float("nan")}), "nan"),
        (lambda state: state.update(report={"n_train": 1e300}), "1e"),
        (lambda state: state.update(report={"nmse": "low"}), "not a name and a float"),
        (lambda state: state.update(report={"target": "avx3"}), "a target that is none: unknown ISA 'avx3'"),
    ],
)
def test_the_state_of_a_pickle_is_checked(model, change, complaint):
    state = model.__getstate__()
    change(state)
    with pytest.raises(mithral.BadModelError, match=complaint):
        mithral.Model.__new__(mithral.Model).__setstate__(state)
