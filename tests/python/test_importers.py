"""Models from the arrays of other trainers.

The encoders of the other formats are written here from their descriptions, one decision at a time: nothing of them is
shared with the code under test.
"""

import ctypes
import math

import numpy as np
import pytest

import mithral
from mithral.importers import _fused_multiply_add
from models import same_bytes

LIBM = ctypes.CDLL("libm.so.6")
LIBM.fmaf.restype = ctypes.c_float
LIBM.fmaf.argtypes = [ctypes.c_float] * 3


def bolt_arrays(rng, n_codebooks=3, n_features=10, n_outputs=5):
    """What bolt's trainer leaves behind."""
    return {
        "split_dims": rng.integers(0, n_features, (n_codebooks, 4)),
        "split_vals": rng.integers(0, 256, (n_codebooks, 15)).astype(np.int32),
        "split_scales": 2.0 ** rng.integers(2, 7, (n_codebooks, 4)),
        "split_offsets": rng.normal(size=(n_codebooks, 4)) - 1,
        "luts": rng.integers(0, 256, (n_outputs, n_codebooks, 16)),
        "lut_scale": 37.25,
        "lut_offset": -4.5,
        "n_features": n_features,
    }


def for_cpp(arrays, rng):
    """The same as the C++ encoder wants it: (x - o) * s = x * s + (-o * s), then 128 less to fit int8."""
    vals = np.concatenate([rng.integers(-128, 128, (len(arrays["split_dims"]), 1)), arrays["split_vals"] - 128], axis=1)
    scales = arrays["split_scales"].astype(np.float32)
    offsets = arrays["split_offsets"].astype(np.float32) * -scales - 128
    return {
        **arrays,
        "split_vals": vals.astype(np.int8),
        "split_scales": scales,
        "split_offsets": offsets,
        "encoder": "cpp",
    }


def python_goes_right(x, scale, offset, val):
    with np.errstate(over="ignore"):
        return np.float32(np.float32(x - np.float32(offset)) * np.float32(scale)) > val


def cpp_goes_right(x, scale, offset, val):
    if math.isnan(x):
        return False
    scaled = LIBM.fmaf(x, scale, offset)
    rounded = round(min(max(scaled, -1000.0), 1000.0))  # Python's round() takes ties to even
    return min(max(rounded, -128), 127) > val


def bolt_codes(arrays, x, goes_right, first_val=0):
    """Codes by following the children of a heap: those of node i are 2 * i + 1 and 2 * i + 2."""
    codes = np.zeros((len(x), len(arrays["split_dims"])), np.uint8)
    for row, xs in enumerate(x):
        for c, dims in enumerate(arrays["split_dims"]):
            node = 0
            for level in range(4):
                scale, offset = arrays["split_scales"][c][level], arrays["split_offsets"][c][level]
                val = arrays["split_vals"][c][first_val + node]
                node = 2 * node + 1 + bool(goes_right(xs[dims[level]], scale, offset, val))
            codes[row, c] = node - 15
    return codes


def rows_beside_thresholds(rng, model, n_rows):
    """Rows of the floats next to the model's thresholds, on either side."""
    edges = model.thresholds[np.isfinite(model.thresholds)]
    values = np.concatenate([np.nextafter(edges, np.float32(np.inf)), np.nextafter(edges, np.float32(-np.inf))])
    return rng.choice(values, (n_rows, model.n_features))


def boundary_rows(rng, model, n_rows):
    """The same with the thresholds themselves, and hard values."""
    x = rows_beside_thresholds(rng, model, n_rows)
    hard = np.concatenate([model.thresholds.ravel(), np.float32([np.nan, -np.inf, 0, -0.0, 1e-42, -1e-42, -3e38])])
    return np.where(rng.random(x.shape) < 0.4, rng.choice(hard[hard != np.inf], x.shape), x)


@pytest.mark.parametrize("encoder", ["python", "cpp"])
def test_codes_are_those_of_bolt(rng, encoder):
    arrays = bolt_arrays(rng, n_codebooks=6, n_features=4)
    goes_right, first_val = python_goes_right, 0
    if encoder == "cpp":
        arrays, goes_right, first_val = for_cpp(arrays, rng), cpp_goes_right, 1
    model = mithral.from_bolt(**arrays)
    near = (rng.normal(size=(300, 4)) * 3).astype(np.float32)
    for x in (near, near * np.float32(1e6), boundary_rows(rng, model, 600)):
        assert same_bytes(model.encode(x), bolt_codes(arrays, x, goes_right, first_val))


@pytest.mark.parametrize("encoder, goes_right", [("python", python_goes_right), ("cpp", cpp_goes_right)])
def test_every_threshold_is_the_last_value_that_goes_left(rng, encoder, goes_right):
    arrays = bolt_arrays(rng, n_codebooks=40)
    arrays["split_scales"] = np.exp(rng.normal(size=(40, 4)) * 4)
    arrays["split_offsets"] = rng.normal(size=(40, 4)) * np.exp(rng.normal(size=(40, 4)) * 4)
    arrays["split_vals"][0] = 255
    if encoder == "cpp":
        arrays = for_cpp(arrays, rng)
    thresholds = mithral.from_bolt(**arrays).thresholds
    for c in range(40):
        for node in range(15):
            level = (node + 1).bit_length() - 1
            split = [arrays[name][c, level] for name in ("split_scales", "split_offsets")]
            val = arrays["split_vals"][c, node + (encoder == "cpp")]
            last = thresholds[c, node]
            if last == np.inf:  # a saturated int8 never exceeds 127
                assert encoder == "cpp" and val == 127
                continue
            assert not goes_right(last, *split, val)
            assert goes_right(np.nextafter(last, np.float32(np.inf)), *split, val)


def test_a_fused_multiply_add_is_rounded_once():
    """Sums so close to half-way between two floats that float64 cannot tell: rounding to it first would go wrong."""
    below = [2**-12 * (1 + 2**-23), 2**-12 * (1 - 2**-23), 1 + 2**-23]  # half-way less 2**-70
    above = [2**-12 * (1 + 1984 * 2**-23), 2**-12 * (1 - 3967 * 2**-24), 1]  # half-way and almost 2**-52 more
    for case in np.float32([below, above]):
        for signs in [(1, 1, 1), (1, -1, 1), (1, -1, -1)]:
            x, scale, offset = case * np.float32(signs)
            fused = _fused_multiply_add(*(np.array([value]) for value in (x, scale, offset)))
            assert fused == np.float32(LIBM.fmaf(x, scale, offset))


def test_a_model_goes_to_bolt_and_back(rng):
    """With offset 0 and scales that are powers of two, bolt's arithmetic is exact and so is the way back."""
    arrays = {**bolt_arrays(rng), "split_offsets": np.zeros((3, 4))}
    bias = rng.normal(size=5)
    model = mithral.from_bolt(**arrays, bias=bias)
    scales = np.stack([arrays["split_scales"][:, (node + 1).bit_length() - 1] for node in range(15)], axis=1)
    known = mithral.Model(
        split_dims=arrays["split_dims"],
        thresholds=(arrays["split_vals"] / scales).astype(np.float32),
        lut=np.moveaxis(arrays["luts"], 0, 2),
        scale=np.full(5, 1 / 37.25, np.float32),
        offset=(bias - 4.5).astype(np.float32),
        n_features=10,
    )
    for name in ("split_dims", "thresholds", "lut", "scale", "offset"):
        assert same_bytes(getattr(model, name), getattr(known, name))
    x = boundary_rows(rng, known, 200)
    assert same_bytes(model.reference(x), known.reference(x))
    sums = np.array([arrays["luts"][:, range(3), codes].sum(axis=1) for codes in known.encode(x)])
    assert model.reference(x) == pytest.approx(sums / 37.25 - 4.5 + bias, rel=1e-6, abs=1e-5)
    assert model.report == {}


def test_bolt_without_scaling(rng):
    arrays = {**bolt_arrays(rng), "split_scales": None, "split_offsets": None}
    arrays["split_vals"] = rng.normal(size=(3, 15)).astype(np.float64)
    arrays["split_vals"][0, :3] = np.inf, 0.1, -0.1
    thresholds = mithral.from_bolt(**arrays).thresholds
    assert thresholds[0, 0] == np.inf, "a node that never splits"
    assert (thresholds <= arrays["split_vals"]).all()
    above = np.nextafter(thresholds, np.float32(np.inf))
    assert (above.astype(np.float64) > arrays["split_vals"])[thresholds < np.inf].all()


def test_where_the_conversion_of_the_cpp_encoder_overflows_the_model_goes_right(rng):
    arrays = for_cpp(bolt_arrays(rng, n_features=1), rng)
    model = mithral.from_bolt(**arrays)
    goes_right_always = 15 * (arrays["split_vals"][:, 1:] < 127).all(axis=1)
    codes = model.encode(np.float32([[np.inf], [3e38]]))
    assert (codes == goes_right_always)[:, goes_right_always > 0].all()


@pytest.mark.parametrize(
    "change, error, text",
    [
        ({"split_dims": [[0] * 4] * 3}, TypeError, "split_dims is of type list; expected a NumPy array"),
        ({"split_dims": np.zeros((3, 5), int)}, ValueError, r"split_dims has shape \(3, 5\); expected \(n_c"),
        ({"split_dims": np.zeros((3, 4))}, ValueError, "split_dims has dtype float64; expected an integer type"),
        ({"split_dims": np.full((3, 4), 10)}, ValueError, r"split_dims\[0, 0\] is 10; allowed: 0 to 9"),
        ({"split_dims": np.full((3, 4), 2**40)}, ValueError, "split_dims has values from .*; allowed"),
        ({"split_vals": np.zeros((3, 16))}, ValueError, r"split_vals has shape \(3, 16\); expected \(3, 15\)"),
        ({"split_vals": np.zeros((3, 15), complex)}, ValueError, "split_vals has dtype complex128"),
        ({"split_vals": np.full((3, 15), np.nan)}, ValueError, r"split_vals\[0, 0\] is NaN"),
        ({"split_vals": np.zeros((3, 16))}, ValueError, "split_vals has shape"),
        ({"split_scales": None}, TypeError, "split_scales is of type NoneType"),
        ({"split_scales": np.zeros((3, 4))}, ValueError, "split_scales has 0.0; allowed: positive numbers"),
        ({"split_scales": np.full((3, 4), 1e300)}, ValueError, r"split_scales\[0, 0\] is inf; allowed: finite numbers"),
        ({"split_scales": np.ones((3, 15))}, ValueError, r"split_scales has shape \(3, 15\); expected \(3, 4\)"),
        ({"split_offsets": np.full((3, 4), np.nan)}, ValueError, r"split_offsets\[0, 0\] is nan; allowed: finite"),
        ({"luts": np.zeros((5, 3, 15))}, ValueError, r"luts has shape \(5, 3, 15\); expected \(n_outputs, 3, 16\)"),
        ({"luts": np.zeros((5, 4, 16))}, ValueError, r"luts has shape \(5, 4, 16\); expected \(n_outputs, 3, 16\)"),
        ({"luts": np.full((5, 3, 16), 0.5)}, ValueError, r"luts\[0, 0, 0\] is 0.5; allowed: whole numbers from 0 to"),
        ({"luts": np.full((5, 3, 16), 256)}, ValueError, r"luts\[0, 0, 0\] is 256; allowed: whole .* 0 to 255"),
        ({"luts": np.full((5, 3, 16), np.nan)}, ValueError, r"luts\[0, 0, 0\] is nan"),
        ({"luts": np.zeros((0, 3, 16))}, ValueError, "n_outputs .*0"),
        ({"lut_scale": 0}, ValueError, "lut_scale is 0; allowed: positive numbers"),
        ({"lut_scale": 1e-320}, ValueError, r"scale\[0\] is inf"),
        ({"lut_scale": True}, TypeError, "lut_scale is of type bool; expected a number"),
        ({"lut_scale": "1"}, TypeError, "lut_scale is of type str; expected a number"),
        ({"lut_scale": np.ones(5)}, TypeError, "lut_scale is of type ndarray; expected a number"),
        ({"lut_offset": np.nan}, ValueError, "lut_offset is nan; allowed: finite numbers"),
        ({"bias": np.zeros(4)}, ValueError, r"bias has shape \(4,\); expected \(5,\)"),
        ({"bias": np.full(5, np.inf)}, ValueError, r"bias\[0\] is inf"),
        ({"bias": [0] * 5}, TypeError, "bias is of type list"),
        ({"n_features": 0}, ValueError, "n_features .*0; allowed"),
        ({"encoder": "rust"}, ValueError, "encoder is 'rust'; allowed: 'python' and 'cpp'"),
        ({"encoder": "cpp"}, ValueError, r"split_vals has shape \(3, 15\); expected \(3, 16\)"),
        ({"encoder": "cpp", "split_vals": np.full((3, 16), 128)}, ValueError, "128; allowed: whole .* -128 to 127"),
        ({"encoder": "cpp", "split_vals": np.zeros((3, 16))}, ValueError, "split_vals has dtype float64"),
    ],
)
def test_bad_bolt_arrays_are_refused(rng, change, error, text):
    with pytest.raises(error, match=text) as raised:
        mithral.from_bolt(**{**bolt_arrays(rng), **change})
    assert error is TypeError or "encoder is" in text or raised.type is mithral.BadModelError


def halut_arrays(rng, n_codebooks=3, n_features=10, n_outputs=5, depth=4):
    leaves = 2**depth
    return {
        "dims": rng.integers(0, n_features, n_codebooks * depth),
        "thresholds": rng.normal(size=n_codebooks * (leaves - 1)).astype(np.float32),
        "lut": rng.normal(size=(n_outputs, n_codebooks, leaves)).astype(np.float32),
        "n_features": n_features,
    }


def halut_codes(arrays, x):
    """The layer's own way: each leaf scores the signs of its path's differences, and the best leaf wins."""
    _, n_codebooks, leaves = arrays["lut"].shape
    depth = leaves.bit_length() - 1
    codes = np.zeros((len(x), n_codebooks), np.uint8)
    for c in range(n_codebooks):
        scores = np.zeros((len(x), leaves))
        for leaf in range(leaves):
            path = f"{leaf:0{depth}b}"
            for level, bit in enumerate(path):
                node = c * (leaves - 1) + 2**level - 1 + int("0" + path[:level], 2)
                sign = np.sign(x[:, arrays["dims"][c * depth + level]] - arrays["thresholds"][node])
                scores[:, leaf] += sign if bit == "1" else -sign
        codes[:, c] = scores.argmax(axis=1)
    return codes


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_codes_and_outputs_are_those_of_halutmatmul(rng, depth):
    arrays = halut_arrays(rng, depth=depth)
    bias = rng.normal(size=5).astype(np.float32)
    model = mithral.from_halut(**arrays, bias=bias)
    assert (model.n_codebooks, model.depth, model.n_outputs, model.n_features) == (3, depth, 5, 10)
    x = np.concatenate([rng.normal(size=(500, 10)).astype(np.float32), rows_beside_thresholds(rng, model, 500)])
    codes = halut_codes(arrays, x)
    assert same_bytes(model.encode(x), codes)
    exact = np.array([arrays["lut"][:, range(3), row].astype(np.float64).sum(axis=1) for row in codes]) + bias
    error = np.abs(model.reference(x) - exact)
    assert (error <= 3 * model.scale / 2 + 1e-5).all()
    assert error.max() > model.scale.max() / 20, "the tables were quantised"


def test_a_model_goes_to_halutmatmul_and_back(rng):
    """Tables of whole steps, with each output's range filled, are quantised without rounding."""
    lut = rng.integers(0, 256, (3, 16, 5))
    lut[0, :2] = [[0] * 5, [255] * 5]
    lut -= lut.min(axis=1, keepdims=True)
    known = mithral.Model(
        split_dims=rng.integers(0, 10, (3, 4)),
        thresholds=rng.normal(size=(3, 15)).astype(np.float32),
        lut=lut,
        scale=(2.0 ** rng.integers(-8, 3, 5)).astype(np.float32),
        offset=np.float32([-3, 0, 1.5, 12, 0.25]),
        n_features=10,
    )
    floats = known.lut * known.scale + known.offset / np.float32([[[4]], [[4]], [[2]]])
    model = mithral.from_halut(
        dims=known.split_dims.ravel().astype(np.float32),
        thresholds=known.thresholds.ravel(),
        lut=floats.transpose(2, 0, 1),
        n_features=10,
    )
    for name in ("split_dims", "thresholds", "lut", "scale", "offset"):
        assert same_bytes(getattr(model, name), getattr(known, name))


def test_int8_tables_are_kept(rng):
    arrays = halut_arrays(rng)
    arrays["lut"] = rng.integers(-128, 128, (5, 3, 16)).astype(np.float32)
    model = mithral.from_halut(**arrays, lut_scale=0.125)
    x = rng.normal(size=(100, 10)).astype(np.float32)
    sums = np.array([arrays["lut"][:, range(3), codes].sum(axis=1) for codes in halut_codes(arrays, x)])
    assert same_bytes(model.reference(x), (0.125 * sums).astype(np.float32))


def test_halut_shapes_dtypes_and_constant_outputs(rng):
    arrays = halut_arrays(rng)
    arrays["lut"][2] = 7
    model = mithral.from_halut(**arrays)
    assert (model.reference(np.zeros((3, 10), np.float32))[:, 2] == 21).all()
    other = mithral.from_halut(
        dims=arrays["dims"].reshape(3, 4),
        thresholds=arrays["thresholds"].reshape(3, 15).astype(np.float64),
        lut=arrays["lut"].astype(np.float64),
        n_features=10,
    )
    assert same_bytes(model.thresholds, other.thresholds) and same_bytes(model.lut, other.lut)
    above = np.nextafter(arrays["thresholds"], np.float32(np.inf)).astype(np.float64)
    arrays["thresholds"] = arrays["thresholds"] + 0.9 * (above - arrays["thresholds"])
    assert same_bytes(mithral.from_halut(**arrays).thresholds, model.thresholds), "x > t is kept by rounding down"


@pytest.mark.parametrize(
    "change, error, text",
    [
        ({"dims": [0] * 12}, TypeError, "dims is of type list"),
        ({"dims": np.zeros((5, 3))}, ValueError, r"dims has shape \(5, 3\); expected \(12,\) or \(3, 4\)"),
        ({"dims": np.full(12, 0.5)}, ValueError, r"dims\[0\] is 0.5; allowed: whole numbers"),
        ({"dims": np.full(12, np.inf)}, ValueError, r"dims\[0\] is inf; allowed: whole numbers"),
        ({"dims": np.full(12, 10)}, ValueError, r"split_dims\[0, 0\] is 10; allowed: 0 to 9"),
        ({"dims": np.full(12, -1)}, ValueError, r"split_dims\[0, 0\] is -1; allowed: 0 to 9"),
        ({"thresholds": np.zeros((5, 3))}, ValueError, r"thresholds has shape \(5, 3\); expected \(45,\) or \(3, 15\)"),
        ({"thresholds": np.zeros(45, int)}, ValueError, "thresholds has dtype int64; expected a float type"),
        ({"thresholds": np.full(45, np.nan)}, ValueError, r"thresholds\[0, 0\] is NaN"),
        ({"lut": np.zeros((9, 5, 3, 16))}, ValueError, r"lut has shape \(9, 5, 3, 16\); expected \(n_outputs, n_c"),
        (
            {"lut": np.zeros((5, 0, 16)), "dims": np.zeros(0), "thresholds": np.zeros(0)},
            ValueError,
            "no codebooks and no linear dims; allowed: at least one of either",
        ),
        ({"lut": np.zeros((5, 3, 15))}, ValueError, r"lut has shape \(5, 3, 15\); expected"),
        ({"lut": np.zeros((5, 3, 1))}, ValueError, r"lut has shape \(5, 3, 1\); expected"),
        ({"lut": np.full((5, 3, 16), np.nan)}, ValueError, r"lut\[0, 0, 0\] is nan; allowed: finite numbers"),
        ({"lut": np.geomspace(1, 1e300, 240).reshape(5, 3, 16)}, ValueError, r"scale\[0\] is inf|scale\[1\] is inf"),
        ({"lut": np.zeros((5, 3, 16)), "lut_scale": -1}, ValueError, "lut_scale is -1; allowed: positive numbers"),
        ({"lut": np.full((5, 3, 16), 128), "lut_scale": 1}, ValueError, "128; allowed: whole .* -128 to 127"),
        ({"bias": np.zeros((1, 5))}, ValueError, r"bias has shape \(1, 5\); expected \(5,\)"),
        ({"n_features": "ten"}, TypeError, "n_features is of type str"),
    ],
)
def test_bad_halut_arrays_are_refused(rng, change, error, text):
    with pytest.raises(error, match=text) as raised:
        mithral.from_halut(**{**halut_arrays(rng), **change})
    assert error is TypeError or raised.type is mithral.BadModelError
