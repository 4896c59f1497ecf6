"""The published MADDNESS trainer in plain NumPy: the baseline that Mithral's own trainer is compared with.

Written from the paper (Blalock & Guttag, "Multiplying Matrices Without Multiplying", ICML 2021, arXiv 2106.10860). The
paper's choices, all kept:

* Section 4.1, algorithm 2: one split column per tree level, a threshold per node, learned greedily level by level. At
  each level only 4 columns are tried: those with the largest squared error about their node's mean, summed over the
  nodes. The threshold of a node is exact: rows sorted by the column, squared errors of both sides of every cut.
* Subspaces are contiguous column groups; codebook c is learned on what the leaf means of codebooks 0..c-1 left over.
* Section 4.2: one ridge regression of the input on all one-hot codes with the fixed penalty lambda = 1, not centred.
  Its prototypes P (C*K, D) give the tables P @ B.
* Section 4.3: 8-bit tables, the minimum of each (codebook, output) table going into the offset, and one scale that all
  outputs share.

Not from the paper: sums are exact, because Mithral's kernels add integers instead of averaging bytes; training sums in
float64; and where codebooks outnumber columns, several share a column, later ones refining what earlier ones left over.
All can only help the baseline.
"""

import numpy as np

N_CANDIDATES = 4


def _best_cut(column, target):
    """(gain, threshold) of the best cut `column > threshold` of one node; +inf when no cut separates any rows.

    column: float32 (n,); target: float64 (n, S), the node's rows about their mean. The sums of the two sides therefore
    differ only in sign, and a cut after i of n sorted rows lowers the squared error by |sum|^2 / i + |sum|^2 / (n - i).
    """
    order = np.argsort(column, kind="stable")
    column = column[order]
    cuts = np.flatnonzero(column[:-1] < column[1:])  # a cut lies between row i and i + 1
    if len(cuts) == 0:
        return 0.0, np.float32(np.inf)
    sums = np.cumsum(target[order], axis=0)[cuts]
    n_left = cuts + 1
    gains = np.einsum("ij,ij->i", sums, sums) * (1 / n_left + 1 / (len(column) - n_left))
    best = np.argmax(gains)
    low, high = column[cuts[best]], column[cuts[best] + 1]
    middle = np.float32((np.float64(low) + np.float64(high)) / 2)
    return gains[best], middle if middle < high else low


def _about_means(target, groups):
    """target (n, S) with each group of rows about its mean."""
    centred = np.empty_like(target)
    for rows in groups:
        if len(rows):
            centred[rows] = target[rows] - target[rows].mean(axis=0)
    return centred


def _learn_tree(values, target, depth):
    """One hash tree from values (float32, n x S), what is split on, and target (float64, n x S), what the leaves should
    tell apart.

    Returns split columns (depth,) within the subspace, thresholds (2**depth - 1,) and the leaf of each row.
    """
    nodes = np.zeros(len(values), dtype=np.int64)
    split_dims, thresholds = [], []
    for level in range(depth):
        groups = [np.flatnonzero(nodes == node) for node in range(2**level)]
        centred = _about_means(target, groups)
        candidates = np.argsort(-(centred**2).sum(axis=0), kind="stable")[:N_CANDIDATES]
        best_gain = -1.0
        for column in candidates:
            cuts = [_best_cut(values[rows, column], centred[rows]) for rows in groups]
            gain = sum(cut[0] for cut in cuts)
            if gain > best_gain:
                best_gain, best_column, best_cuts = gain, column, [cut[1] for cut in cuts]
        split_dims.append(best_column)
        thresholds.extend(best_cuts)
        nodes = 2 * nodes + (values[:, best_column] > np.array(best_cuts, dtype=np.float32)[nodes])
    return np.array(split_dims), np.array(thresholds, dtype=np.float32), nodes


def _subspace(codebook, n_codebooks, n_features):
    """Columns [first, last) of a codebook: contiguous groups of nearly equal size."""
    first = codebook * n_features // n_codebooks
    return first, max(first + 1, (codebook + 1) * n_features // n_codebooks)


def _one_hot(codes, n_leaves):
    """(n, C) codes -> float64 (n, C*K) indicators."""
    n, n_codebooks = codes.shape
    indicators = np.zeros((n, n_codebooks * n_leaves))
    indicators[np.arange(n)[:, None], np.arange(n_codebooks) * n_leaves + codes] = 1
    return indicators


def _quantize(tables):
    """Real tables (C, K, M) -> uint8 tables, scale (M,) with one value for all outputs, offset (M,)."""
    minima = tables.min(axis=1, keepdims=True)
    shifted = tables - minima
    scale = np.float32(shifted.max() / 255)
    if scale == 0:
        scale = np.float32(1)
    lut = np.clip(np.rint(shifted / scale), 0, 255).astype(np.uint8)
    n_outputs = tables.shape[2]
    return lut, np.full(n_outputs, scale, dtype=np.float32), minima.sum(axis=(0, 1)).astype(np.float32)


def train_published(A, B, n_codebooks, depth=4, ridge=1.0):
    """Learn from sample rows A (n, D) and B (D, M) as published; returns the arrays of a mithral.Model as a dict:
    split_dims int32 (C, L), thresholds float32 (C, 2**L - 1), lut uint8 (C, 2**L, M), scale and offset float32 (M,).

    No bias is added: give it to the model by adding it to `offset`.
    """
    values = np.asarray(A, dtype=np.float32)
    n, n_features = values.shape
    n_leaves = 2**depth
    residual = values.astype(np.float64)
    split_dims = np.zeros((n_codebooks, depth), dtype=np.int32)
    thresholds = np.zeros((n_codebooks, n_leaves - 1), dtype=np.float32)
    codes = np.zeros((n, n_codebooks), dtype=np.int64)

    for c in range(n_codebooks):
        first, last = _subspace(c, n_codebooks, n_features)
        dims, thresholds[c], codes[:, c] = _learn_tree(values[:, first:last], residual[:, first:last], depth)
        split_dims[c] = first + dims
        for leaf in np.unique(codes[:, c]):
            rows = codes[:, c] == leaf
            residual[rows] -= residual[rows].mean(axis=0)

    indicators = _one_hot(codes, n_leaves)
    gram = indicators.T @ indicators + ridge * np.eye(n_codebooks * n_leaves)
    prototypes = np.linalg.solve(gram, indicators.T @ values.astype(np.float64))
    tables = (prototypes @ np.asarray(B, dtype=np.float64)).reshape(n_codebooks, n_leaves, -1)
    lut, scale, offset = _quantize(tables)
    return dict(split_dims=split_dims, thresholds=thresholds, lut=lut, scale=scale, offset=offset)
