"""Models from the arrays of other trainers.

What the other formats mean was read from their sources:

* dblalock/bolt, the authors' code of MADDNESS: experiments/python/clusterize.py at 5ffc2a21 (MultiSplit,
  assignments_from_multisplits, learn_multisplits), vquantizers.py at 3e86ac69 (_mithral_quantize_luts, dists_enc);
* CLARKBENHAM/bolt, whose C++ encoder takes the parameters that the authors' Python learns:
  experiments/copy_to_amm.py at 48fd3c2e, cpp/src/quantize/mithral.cpp at dd43dbfb (mithral_encode for float),
  cpp/src/utils/avx_utils.hpp at 0d5cce3d;
* joennlae/halutmatmul: src/python/halutmatmul/modules.py at 966fc537 (halut_matmul_forward,
  create_selection_matrix, create_bit_matrix, HalutConv2d.update_lut), functions.py at 8c4a5946
  (split_lists_to_numpy), halutmatmul.py at 0c58f6b1.
"""

from __future__ import annotations

from typing import Any, Callable

import numpy as np

from ._core import BadModelError, Model

_BOLT_DEPTH = 4
_BOLT_NODES = 2**_BOLT_DEPTH - 1


def from_bolt(
    *,
    split_dims: Any,
    split_vals: Any,
    split_scales: Any = None,
    split_offsets: Any = None,
    luts: Any,
    lut_scale: float,
    lut_offset: float,
    n_features: int,
    bias: Any = None,
    encoder: str = "python",
) -> Model:
    """A model from the parameters of the published MADDNESS code (dblalock/bolt, where it is called Mithral).

    There a split compares a scaled column with small integers. The thresholds of the returned model are in units of the
    column itself and chosen so that every float32 value goes the same way as in the source.

    Parameters (C codebooks of 4 splits, M outputs):
        split_dims: integers (C, 4), the column of each level's split: `dim`
        split_vals: with encoder="python", real numbers (C, 15): the `vals` of the four splits, 1 + 2 + 4 + 8, one
            after the other. With encoder="cpp", integers -128 to 127 (C, 16): `splitvals`, its first column unused
        split_scales, split_offsets: finite numbers (C, 4), scales positive: `scaleby` and `offset`, or
            `encode_scales` and `encode_offsets` of the C++ code, rounded to float32. None, for encoder="python" only:
            vals that were not scaled
        luts: whole numbers 0 to 255 (M, C, 16): `luts`
        lut_scale, lut_offset: `scale` (positive) and `offset`, or `out_scale` and `out_offset_sum`, of all outputs
        n_features: D, the columns of the rows
        bias: real numbers (M,) to add to the outputs, or None
        encoder: which code's decisions to keep.
            "python": right where (x - offset) * scale > val, each step rounded to float32, which is how NumPy before
                2.0 computes it for float32 rows. Kept for every float32 x, infinities and NaN included.
            "cpp": right where int8(x * scale + offset) > val: one fused multiply-add, rounded to the nearest integer
                (ties to even) and saturated. Kept for every float32 x, NaN included, but where x * scale + offset
                reaches 2**31: there, +inf included, the conversion of the C++ code overflows and it goes left.

    From a fitted `vq_amm.MithralMatmul`, called `task` here, after `task.set_B(B)`::

        splits = task.enc.splits_lists
        model = mithral.from_bolt(
            split_dims=np.array([[s.dim for s in tree] for tree in splits]),
            split_vals=np.array([np.concatenate([s.vals for s in tree]) for tree in splits]),
            split_scales=np.array([[s.scaleby for s in tree] for tree in splits]),
            split_offsets=np.array([[s.offset for s in tree] for tree in splits]),
            luts=task.luts,
            lut_scale=task.scale,
            lut_offset=task.offset,
            n_features=A.shape[1],
        )

    The C++ code's `amm.luts` become luts by `.reshape(M, C, 16)`.

    Returns a Model whose outputs are sum(luts) / lut_scale + lut_offset + bias, the sum exact, the rest in float32.
    The source averages bytes instead of summing them (`accumulate_how="mean"`) and corrects the bias of that, so its
    own outputs differ by rounding steps of its averages.

    Raises BadModelError, a ValueError, for dtypes, shapes and values that do not fit, ValueError for an unknown
    encoder and TypeError for what is not an array.
    """
    dims = _array("split_dims", split_dims, "iu")
    table = _array("luts", luts, "iuf")
    if dims.ndim != 2 or dims.shape[1] != _BOLT_DEPTH:
        raise BadModelError(f"split_dims has shape {dims.shape}; expected (n_codebooks, {_BOLT_DEPTH})")
    if table.ndim != 3 or table.shape[1:] != (len(dims), _BOLT_NODES + 1):
        raise BadModelError(f"luts has shape {table.shape}; expected (n_outputs, {len(dims)}, {_BOLT_NODES + 1})")
    n_outputs = len(table)
    scale, offset = _number("lut_scale", lut_scale), _number("lut_offset", lut_offset)
    if scale <= 0:
        raise BadModelError(f"lut_scale is {lut_scale}; allowed: positive numbers")
    return _model(
        split_dims=dims,
        thresholds=_bolt_thresholds(encoder, split_vals, split_scales, split_offsets, len(dims)),
        lut=_whole("luts", table, 0, 255).transpose(1, 2, 0),
        scale=np.full(n_outputs, 1 / scale),
        offset=offset + _bias(bias, n_outputs),
        n_features=n_features,
    )


def from_halut(
    *,
    dims: Any,
    thresholds: Any,
    lut: Any,
    n_features: int,
    bias: Any = None,
    lut_scale: float | None = None,
) -> Model:
    """A model from the parameters of a halutmatmul layer (joennlae/halutmatmul) that encodes with hash trees.

    Parameters (C codebooks of depth L with K = 2**L leaves, M outputs), as in the state dict of a HalutLinear, or of a
    HalutConv2d with loop_order="im2col", whose rows are the unfolded patches:
        dims: whole numbers (C * L,) or (C, L), the column of each level's split
        thresholds: floats (C * (K - 1),) or (C, K - 1), in units of the column; node i of level l of a tree is at index
            2**l - 1 + i, and x goes right where x > threshold
        lut: floats (M, C, K), not yet summed over the codebooks
        n_features: D, the columns of the rows: `in_features`
        bias: real numbers (M,) to add to the outputs, or None
        lut_scale: None, or the `scale` of a HalutConv2d, a positive number; `lut` is then its `lut_int8`, whole numbers
            -128 to 127, and outputs are lut_scale times the sum

    PyTorch tensors are passed as `tensor.detach().cpu().numpy()`. Layers that encode by the nearest prototype
    (`use_prototypes=True`), by a decision tree with a column of its own at each node, or with loop_order="kn2col" have
    no such model; neither have the place-holders that HalutMatmul.learn_offline(only_prototypes=True) stores.

    Returns a Model. Its codes are those of the layer in float32 for every row of finite values, none of which equals
    the threshold it is compared with: there the model goes left, as halutmatmul's offline encoder does, while what the
    layer does depends on rounding. With `lut_scale` its tables are the layer's own. Without, they are quantised to
    uint8 with one scale per output: an output is then within C * scale[m] / 2 of the sum of the given floats, plus
    rounding in float32, where 255 * scale[m] is the largest range of a codebook's entries for output m.

    Raises BadModelError, a ValueError, for dtypes, shapes and values that do not fit, and TypeError for what is not an
    array.
    """
    table = _array("lut", lut, "iuf")
    depth = table.shape[2].bit_length() - 1 if table.ndim == 3 else 0
    if depth < 1 or table.shape[2] != 2**depth:
        raise BadModelError(
            f"lut has shape {table.shape}; expected (n_outputs, n_codebooks, 2**depth), "
            'as a HalutLinear or a HalutConv2d with loop_order="im2col" has it'
        )
    n_outputs, n_codebooks, n_leaves = table.shape
    trees = _array("dims", dims, "iuf")
    nodes = _array("thresholds", thresholds, "f")
    if lut_scale is None:
        tables, scales, offsets = _quantise(_finite("lut", table.transpose(1, 2, 0)))
    else:
        scale = _number("lut_scale", lut_scale)
        if scale <= 0:
            raise BadModelError(f"lut_scale is {lut_scale}; allowed: positive numbers, or None for a lut of floats")
        tables = _whole("lut", table, -128, 127).transpose(1, 2, 0) + 128
        scales, offsets = np.full(n_outputs, scale), np.full(n_outputs, -128 * n_codebooks * scale)
    int32 = np.iinfo(np.int32)
    return _model(
        split_dims=_by_codebook("dims", _whole("dims", trees, int32.min, int32.max), n_codebooks, depth),
        thresholds=_by_codebook("thresholds", _round_down(nodes), n_codebooks, n_leaves - 1),
        lut=tables,
        scale=scales,
        offset=offsets + _bias(bias, n_outputs),
        n_features=n_features,
    )


def _bolt_thresholds(encoder: str, split_vals: Any, scales: Any, offsets: Any, n_codebooks: int) -> np.ndarray:
    """float32 (C, 15) that decide like bolt's encoder."""
    if encoder not in ("python", "cpp"):
        raise ValueError(f"encoder is {encoder!r}; allowed: 'python' and 'cpp'")
    vals = _array("split_vals", split_vals, "iuf" if encoder == "python" else "iu")
    n_columns = _BOLT_NODES if encoder == "python" else _BOLT_NODES + 1
    _check_shape("split_vals", vals, (n_codebooks, n_columns))
    if np.isnan(vals).any():
        raise BadModelError(f"split_vals{_first(np.isnan(vals))} is NaN; allowed: numbers")
    if encoder == "python" and scales is None and offsets is None:
        return _round_down(vals)
    scale = _per_node("split_scales", scales, n_codebooks)
    offset = _per_node("split_offsets", offsets, n_codebooks)
    if (scale <= 0).any():
        raise BadModelError(f"split_scales has {scale.min()}; allowed: positive numbers")
    if encoder == "python":
        return _last_left(lambda x: (x - offset) * scale > vals, vals.shape)
    vals = _whole("split_vals", vals, -128, 127)[:, 1:]
    return _last_left(lambda x: np.clip(np.rint(_fused_multiply_add(x, scale, offset)), -128, 127) > vals, vals.shape)


def _per_node(name: str, values: Any, n_codebooks: int) -> np.ndarray:
    """float32 (C, 15) from one value for each level (C, 4)."""
    array = _array(name, values, "iuf")
    _check_shape(name, array, (n_codebooks, _BOLT_DEPTH))
    with np.errstate(over="ignore"):  # what does not fit float32 is not finite
        per_level = _finite(name, array.astype(np.float32))
    return np.repeat(per_level, 2 ** np.arange(_BOLT_DEPTH), axis=1)


def _last_left(goes_right: Callable[[np.ndarray], np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """The largest float32 that goes left, for each of many decisions that are monotone in x; +inf where all do.

    -inf goes left in all of them.
    """
    infinity = int(np.float32(np.inf).view(np.int32))  # the floats from -inf to inf in order are -infinity to infinity
    left, right = np.full(shape, -infinity), np.full(shape, infinity + 1)
    with np.errstate(over="ignore", invalid="ignore"):
        while (right - left > 1).any():
            middle = (left + right) // 2
            is_right = goes_right(_float_at(middle))
            right = np.where(is_right, middle, right)
            left = np.where(is_right, left, middle)
    return _float_at(left)


def _float_at(position: np.ndarray) -> np.ndarray:
    """The float32 that is so many steps above (or, negative, below) zero."""
    magnitude = np.abs(position).astype(np.int32).view(np.float32)
    return np.copysign(magnitude, position.astype(np.float32))


def _fused_multiply_add(x: np.ndarray, scale: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """float32(x * scale + offset), rounded once.

    In float64 the product is exact. Its sum is rounded to odd, so that rounding again to float32 is rounding once
    (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums: proved algorithms using rounding to odd", 2008).
    """
    product = x.astype(np.float64) * scale
    total = product + offset
    part = total - product
    error = (product - (total - part)) + (offset - part)
    is_even = total.view(np.int64) % 2 == 0
    towards = np.copysign(np.inf, error)
    return np.where((np.abs(error) > 0) & is_even, np.nextafter(total, towards), total).astype(np.float32)


def _round_down(values: np.ndarray) -> np.ndarray:
    """float32 t such that x > t is x > value for every float32 x."""
    with np.errstate(over="ignore"):
        nearest = values.astype(np.float32)
    return np.where(nearest > values, np.nextafter(nearest, np.float32(-np.inf)), nearest)


def _quantise(tables: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """uint8 (C, K, M) with a scale and an offset per output, from floats."""
    tables = tables.astype(np.float64)
    lowest = tables.min(axis=1)  # (C, M)
    widest = (tables.max(axis=1) - lowest).max(axis=0, initial=0)  # (M,)
    scale = np.where(widest > 0, widest / 255, 1)
    return np.rint((tables - lowest[:, None]) / scale).astype(np.uint8), scale, lowest.sum(axis=0)


def _model(*, scale: np.ndarray, offset: np.ndarray, **arrays: Any) -> Model:
    with np.errstate(over="ignore"):  # Model names what does not fit float32
        return Model(scale=scale.astype(np.float32), offset=offset.astype(np.float32), **arrays)


def _array(name: str, values: Any, kinds: str) -> np.ndarray:
    is_array = hasattr(values, "__array__") or isinstance(values, memoryview)
    if not is_array or isinstance(values, (np.generic, np.ma.MaskedArray, type)):
        raise TypeError(f"{name} is of type {type(values).__name__}; expected a NumPy array")
    array = np.asarray(values)
    if array.dtype.kind not in kinds:
        names = {"iu": "an integer type", "f": "a float type", "iuf": "an integer or float type"}
        raise BadModelError(f"{name} has dtype {array.dtype}; expected {names[kinds]}")
    return array


def _number(name: str, value: Any) -> float:
    if not hasattr(value, "__float__") or np.ndim(value) != 0 or np.asarray(value).dtype == bool:
        raise TypeError(f"{name} is of type {type(value).__name__}; expected a number")
    number = float(value)
    if not np.isfinite(number):
        raise BadModelError(f"{name} is {number}; allowed: finite numbers")
    return number


def _bias(bias: Any, n_outputs: int) -> np.ndarray:
    if bias is None:
        return np.zeros(n_outputs)
    array = _array("bias", bias, "iuf")
    _check_shape("bias", array, (n_outputs,))
    return _finite("bias", array).astype(np.float64)


def _by_codebook(name: str, array: np.ndarray, n_codebooks: int, per_codebook: int) -> np.ndarray:
    if array.shape not in ((n_codebooks * per_codebook,), (n_codebooks, per_codebook)):
        raise BadModelError(
            f"{name} has shape {array.shape}; expected ({n_codebooks * per_codebook},) or "
            f"({n_codebooks}, {per_codebook}), {per_codebook} for each of the {n_codebooks} codebooks of lut"
        )
    return array.reshape(n_codebooks, per_codebook)


def _check_shape(name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise BadModelError(f"{name} has shape {array.shape}; expected {shape}")


def _finite(name: str, array: np.ndarray) -> np.ndarray:
    wrong = ~np.isfinite(array)
    if wrong.any():
        raise BadModelError(f"{name}{_first(wrong)} is {array[wrong][0]}; allowed: finite numbers")
    return array


def _whole(name: str, array: np.ndarray, low: int, high: int) -> np.ndarray:
    """The array as int64, where its values are whole numbers in the range."""
    wrong = ~((array >= low) & (array <= high) & (np.floor(array) == array))
    if wrong.any():
        raise BadModelError(f"{name}{_first(wrong)} is {array[wrong][0]}; allowed: whole numbers from {low} to {high}")
    return array.astype(np.int64)


def _first(mask: np.ndarray) -> list[int]:
    return [int(i) for i in np.argwhere(mask)[0]]
