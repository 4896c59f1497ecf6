"""What users could take instead of Mithral, each as good as it can be made: bench/frontier.py holds kernels against them.

Every alternative is learned from the training rows and gives a function of (X, out): float32 rows, C or Fortran order, to
row-major float32 outputs. Weights are least squares on the training rows, in float64.

    columns     the columns that forward selection takes, copied out, times a smaller matrix
    lines       the same by whole cache lines of a row-major row
    low rank    X P, then times V: the best of that rank under the moments of the training rows
    int8        onnxruntime's product of bytes: rows quantised by the call, one scale per output
    exact       the float32 product
"""

from typing import Callable, NamedTuple

import numpy as np

LINE = 16  # float32 of a cache line


class Alternative(NamedTuple):
    family: str
    size: int  # columns, lines or rank; 0 where there is nothing to choose
    run: Callable  # (X, out)


def alternatives(problem, order):
    """All of them, for rows in this order."""
    d, m = problem.weights.shape
    exact_outputs = problem.train.astype(np.float64) @ problem.weights
    yield Alternative("exact", 0, _exact(problem))
    yield Alternative("int8", 0, _int8(problem))
    directions = _principal_directions(problem)
    for rank in _sizes(2, min(d, m) // 2):
        yield Alternative("low rank", rank, _low_rank(problem, exact_outputs, directions[:rank]))
    width, family = (LINE, "lines") if order == "C" else (1, "columns")
    n_groups = -(-d // width)
    chosen = _forward_selection(problem.train, exact_outputs, width, min(n_groups, 512 // width))
    for count in _sizes(4 // width or 1, len(chosen)):
        groups = np.sort(chosen[:count])
        columns = np.concatenate([np.arange(g * width, min(d, (g + 1) * width)) for g in groups])
        yield Alternative(family, count, _columns(problem, exact_outputs, columns))


def _sizes(first, last):
    """first, and further ones up to last, each about 1.4 times the one before."""
    size = float(first)
    while round(size) <= last:
        yield round(size)
        size = max(size * 1.4, size + 1)


def _exact(problem):
    weights, bias = np.ascontiguousarray(problem.weights), problem.bias

    def run(x, out):
        np.matmul(x, weights, out=out)
        out += bias

    return run


def _regression(columns, outputs):
    """(weights, offset) with the least squares of columns @ weights + offset - outputs."""
    mean, mean_outputs = columns.mean(axis=0), outputs.mean(axis=0)
    centred = columns - mean
    gram = centred.T @ centred
    gram[np.diag_indices_from(gram)] += 1e-7 * np.trace(gram) / len(gram) + 1e-30
    weights = np.linalg.solve(gram, centred.T @ (outputs - mean_outputs))
    return weights.astype(np.float32), (mean_outputs - mean @ weights).astype(np.float32)


def _columns(problem, exact_outputs, columns):
    weights, offset = _regression(problem.train[:, columns].astype(np.float64), exact_outputs)
    offset = offset + problem.bias
    scratch = {}

    def run(x, out):
        order = "F" if x.flags.f_contiguous else "C"
        if (order, len(x)) not in scratch:
            scratch[order, len(x)] = np.empty((len(x), len(columns)), np.float32, order=order)
        taken = scratch[order, len(x)]
        if order == "F":
            np.take(x.T, columns, axis=0, out=taken.T, mode="clip")
        else:
            np.take(x, columns, axis=1, out=taken, mode="clip")
        np.matmul(taken, weights, out=out)
        out += offset

    return run


def _principal_directions(problem):
    """The outputs' principal directions on the training rows, as orthonormal rows, the widest first: those of a root of
    the rows' moments, which has the same ones and D rows instead of n."""
    rows = problem.train - problem.train.mean(axis=0, dtype=np.float64)
    moments, axes = np.linalg.eigh(rows.T @ rows)
    root = np.sqrt(np.maximum(moments, 0))[:, None] * axes.T
    return np.linalg.svd(root @ problem.weights, full_matrices=False)[2]


def _low_rank(problem, exact_outputs, v):
    """The outputs' best approximation of the rank of v, their principal directions, and what makes them of x."""
    rank, mean = len(v), exact_outputs.mean(axis=0)
    p = (problem.weights.astype(np.float64) @ v.T).astype(np.float32)
    offset = (mean - mean @ v.T @ v + problem.bias).astype(np.float32)
    v = v.astype(np.float32)
    scratch = {}

    def run(x, out):
        if len(x) not in scratch:
            scratch[len(x)] = np.empty((len(x), rank), np.float32)
        np.matmul(x, p, out=scratch[len(x)])
        np.matmul(scratch[len(x)], v, out=out)
        out += offset

    return run


def _int8(problem):
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    d, m = problem.weights.shape
    scale = np.maximum(np.abs(problem.weights).max(axis=0) / 127, np.float32(1e-30)).astype(np.float32)
    weights = np.rint(problem.weights / scale).astype(np.int8)
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "step", "zero"]),
        helper.make_node("MatMulInteger", ["q", "weights", "zero"], ["sums"]),
        helper.make_node("Cast", ["sums"], ["float_sums"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["step", "scale"], ["scales"]),
        helper.make_node("Mul", ["float_sums", "scales"], ["scaled"]),
        helper.make_node("Add", ["scaled", "bias"], ["y"]),
    ]
    constants = {"weights": weights, "scale": scale, "bias": problem.bias.astype(np.float32)}
    graph = helper.make_graph(
        nodes,
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", d])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", m])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def run(x, out):
        x = np.ascontiguousarray(x)
        binding = session.io_binding()
        binding.bind_input("x", "cpu", 0, np.float32, x.shape, x.ctypes.data)
        binding.bind_output("y", "cpu", 0, np.float32, out.shape, out.ctypes.data)
        session.run_with_iobinding(binding)

    return run


def _forward_selection(rows, outputs, width, count):
    """The groups of `width` adjacent columns that explain most of the outputs, one after the other: their numbers."""
    rows, outputs = rows[:8192].astype(np.float64), outputs[:8192]
    rows, outputs = rows - rows.mean(axis=0), outputs - outputs.mean(axis=0)
    columns, products = rows.T @ rows, rows.T @ outputs
    floor = 1e-7 * np.maximum(np.diag(columns), 1e-30)
    starts = list(range(0, rows.shape[1], width))
    chosen = []
    while starts and len(chosen) < count:
        best, most = None, 0.0
        for start in starts:
            group = slice(start, min(start + width, rows.shape[1]))
            moments = columns[group, group] + np.diag(floor[group])
            if np.all(np.diag(columns)[group] <= floor[group]):
                continue
            gain = np.sum(products[group] * np.linalg.solve(moments, products[group]))
            if gain > most:
                best, most = start, gain
        if best is None:
            break
        group = slice(best, min(best + width, rows.shape[1]))
        solved = np.linalg.solve(columns[group, group] + np.diag(floor[group]), np.c_[columns[group], products[group]])
        cross = columns[:, group].copy()
        columns -= cross @ solved[:, : columns.shape[1]]
        products -= cross @ solved[:, columns.shape[1] :]
        starts.remove(best)
        chosen.append(best // width)
    return np.array(chosen)
