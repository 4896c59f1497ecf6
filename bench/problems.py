"""The products that bench/accuracy.py judges trainers on: sample rows, unseen rows, and the fixed matrix.

    from problems import PROBLEMS
    problem = PROBLEMS["digits"](seed=0)

Everything is generated from the seed, comes with scikit-learn, or is in a package that `make frontier` installs. Train
and test rows are disjoint.
"""

import gzip
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sentences import sentence_embeddings

from mithral.demo import train_classifier

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")  # Debian's dataset-fashion-mnist

_NETWORK_ROWS = 12_000  # inputs of the networks that are trained here


class Problem(NamedTuple):
    """A fixed matrix, rows to learn from and rows to be judged on."""

    name: str
    title: str  # one line: what the rows and the matrix are
    train: np.ndarray  # float32 (n, D)
    test: np.ndarray  # float32 (N, D)
    weights: np.ndarray  # float32 (D, M)
    bias: np.ndarray  # float32 (M,)
    is_classifier: bool  # the largest output of a row is what counts
    is_structured: bool  # few directions or clusters explain the rows; without that no method can be good


def digits(seed):
    """The last layer, 512 -> 10, of a network trained on scikit-learn's digits: its ReLU activations on 1,347 training
    and 450 test images."""
    layer = train_classifier(seed)
    return Problem(
        "digits", "last layer of a digit classifier", layer.train, layer.test, layer.weights, layer.bias, True, True
    )


def synthetic_head(seed, n_features=512, n_classes=10, n_train=20_000, n_test=10_000):
    """A classifier's last layer on ReLU features of generated classes: the digits' shape, with many rows.

    Each class is 4 Gaussian clusters in a latent space of 32 dimensions (deviation of the clusters' centres: 1; of rows
    about them: 0.9). A random layer with ReLU makes the features; their noise has a deviation of 0.1, before the ReLU.
    The last layer is a logistic regression on the training rows, which gets about 96 % of the test rows' classes right.
    """
    from sklearn.linear_model import LogisticRegression

    n_latent, n_clusters = 32, 4 * n_classes
    rng = np.random.default_rng([seed, 1])
    centres = rng.standard_normal((n_clusters, n_latent))
    layer = rng.standard_normal((n_latent, n_features)) / np.sqrt(n_latent)
    layer_bias = 0.2 * rng.standard_normal(n_features)

    def rows_of(clusters):
        latent = centres[clusters] + 0.9 * rng.standard_normal((len(clusters), n_latent))
        noise = 0.1 * rng.standard_normal((len(clusters), n_features))
        return np.maximum(latent @ layer + layer_bias + noise, 0).astype(np.float32)

    clusters = rng.integers(n_clusters, size=n_train)
    train = rows_of(clusters)
    test = rows_of(rng.integers(n_clusters, size=n_test))
    last = LogisticRegression(C=0.01, max_iter=1000).fit(train, clusters % n_classes)
    weights, bias = last.coef_.T.astype(np.float32), last.intercept_.astype(np.float32)
    return Problem("head", "last layer on ReLU features of generated classes", train, test, weights, bias, True, True)


def low_rank(seed, n_features=256, n_outputs=32, n_train=8_000, n_test=4_000):
    """Rows near a subspace of 12 dimensions, without classes or clusters: Gaussian factors of deviation 0.8^i, i = 0 to
    11, mixed by a Gaussian matrix, plus white noise with 1 % of their variance. B is Gaussian, so that noise is 1 % of
    the outputs' variance too: a floor for trees that read a few columns."""
    rng = np.random.default_rng([seed, 2])
    deviations = 0.8 ** np.arange(12)
    mixing = deviations[:, None] * rng.standard_normal((12, n_features))
    noise_deviation = np.sqrt(0.01 * np.sum(deviations**2))

    def rows(n):
        signal = rng.standard_normal((n, 12)) @ mixing
        return (signal + noise_deviation * rng.standard_normal((n, n_features))).astype(np.float32)

    train, test = rows(n_train), rows(n_test)
    weights = _gaussian_weights(rng, n_features, n_outputs)
    bias = np.zeros(n_outputs, dtype=np.float32)
    return Problem("low-rank", "12 factors plus 1 % noise", train, test, weights, bias, False, True)


def white(seed, n_features=64, n_outputs=16, n_train=8_000, n_test=4_000):
    """Independent standard Gaussian columns times a Gaussian B: nothing to learn, so no method can be good at it."""
    rng = np.random.default_rng([seed, 3])
    train = rng.standard_normal((n_train, n_features)).astype(np.float32)
    test = rng.standard_normal((n_test, n_features)).astype(np.float32)
    weights = _gaussian_weights(rng, n_features, n_outputs)
    bias = np.zeros(n_outputs, dtype=np.float32)
    return Problem("white", "white noise: no structure, nothing can win", train, test, weights, bias, False, False)


def sobel_3x3(seed):
    """Sobel's two filters, as in the MADDNESS paper, on colour patches: 27 -> 2."""
    smooth, slope = np.array([1, 2, 1]), np.array([-1, 0, 1])
    bank = np.stack([np.outer(smooth, slope), np.outer(slope, smooth)]) / 2
    return _filter_problem("sobel-3x3", "Sobel filters on photographs", bank, seed)


def gaussian_5x5(seed):
    """Gaussian filters of deviation 1 and 2, as in the MADDNESS paper, on colour patches: 75 -> 2."""
    squares = np.arange(-2, 3) ** 2
    lines = np.exp(-squares / (2 * np.array([[1], [2]]) ** 2))
    lines /= lines.sum(axis=1, keepdims=True)
    bank = np.einsum("fi,fj->fij", lines, lines)
    return _filter_problem("gauss-5x5", "Gaussian filters on photographs", bank, seed)


def dct_5x5(seed):
    """16 filters on colour patches, the cosine transform's lowest 4 x 4 frequencies: 75 -> 16. As after batch
    normalisation, each output has a deviation of 1 on the training rows; otherwise the mean brightness would be all."""
    waves = np.cos(np.pi * np.outer(np.arange(4), np.arange(5) + 0.5) / 5)
    bank = np.einsum("ai,bj->abij", waves, waves).reshape(16, 5, 5)
    problem = _filter_problem("dct-5x5", "16 cosine filters on photographs", bank, seed)
    return problem._replace(weights=problem.weights / (problem.train @ problem.weights).std(axis=0))


def hundred_classes(seed):
    return synthetic_head(seed, n_features=256, n_classes=100, n_train=10_000, n_test=5_000)._replace(
        name="head-100", title="last layer on ReLU features of 100 generated classes"
    )


def gray_5x5(seed):
    """16 Gaussian filters on patches of one colour: 25 -> 16."""
    rng = np.random.default_rng([seed, 5])
    problem = _filter_problem("gray-5x5", "16 random filters on gray patches", rng.standard_normal((16, 5, 5)), seed)
    return problem._replace(train=problem.train[:, :25], test=problem.test[:, :25], weights=problem.weights[:25])


def network_of_clusters(seed):
    """A network's last layer, 512 -> 10, on inputs of 64 columns: each class 4 Gaussian clusters."""
    rng = np.random.default_rng([seed, 7])
    centres = rng.standard_normal((40, 64))
    clusters = rng.integers(40, size=_NETWORK_ROWS)
    inputs = centres[clusters] + 1.2 * rng.standard_normal((_NETWORK_ROWS, 64))
    return _network_head("net-clusters", "last layer of a network, classes in clusters", inputs, clusters % 10, seed)


def network_of_factors(seed):
    """The same on inputs of 8 factors and a little noise, whose class is the largest of 10 functions of the factors."""
    rng = np.random.default_rng([seed, 8])
    factors = rng.standard_normal((_NETWORK_ROWS, 8))
    inputs = factors @ rng.standard_normal((8, 64)) + 0.1 * rng.standard_normal((_NETWORK_ROWS, 64))
    labels = np.argmax(np.tanh(factors @ rng.standard_normal((8, 16))) @ rng.standard_normal((16, 10)), axis=1)
    return _network_head("net-factors", "last layer of a network, inputs of few factors", inputs, labels, seed)


def network_of_signals(seed):
    """The same on signals of 256 samples: one of 10 smooth waves at a random strength, and correlated noise."""
    rng = np.random.default_rng([seed, 9])
    steps = rng.standard_normal((10 + _NETWORK_ROWS, 256))
    waves = np.empty_like(steps)
    waves[:, 0] = steps[:, 0]
    for i in range(1, 256):
        waves[:, i] = 0.95 * waves[:, i - 1] + np.sqrt(1 - 0.95**2) * steps[:, i]
    labels = rng.integers(10, size=_NETWORK_ROWS)
    inputs = rng.uniform(0.5, 1.5, (_NETWORK_ROWS, 1)) * waves[labels] + waves[10:]
    return _network_head("net-signals", "last layer of a network, correlated columns", inputs, labels, seed)


def network_of_images(seed):
    """The same on Fashion-MNIST: images of 28 x 28 pixels of 10 kinds of clothes."""

    def read(name, header):
        return np.frombuffer(gzip.decompress((FASHION_MNIST / f"train-{name}-ubyte.gz").read_bytes())[header:], np.uint8)

    images = read("images-idx3", 16).reshape(-1, 28 * 28)[:_NETWORK_ROWS]
    labels = read("labels-idx1", 8)[:_NETWORK_ROWS]
    return _network_head("net-fashion", "last layer of a network on Fashion-MNIST", images / 255, labels, seed)


def _network_head(name, title, inputs, labels, seed, n_train=8_000):
    """The last layer, 512 -> 10, of a network with one hidden layer of ReLU units that is trained on these inputs."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    inputs = inputs.astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the classes overlap: a few rounds are as good as many
        network = MLPClassifier((512,), max_iter=15, random_state=seed).fit(inputs[:n_train], labels[:n_train])
    rows = np.maximum(inputs @ network.coefs_[0] + network.intercepts_[0], 0).astype(np.float32)
    weights, bias = network.coefs_[1].astype(np.float32), network.intercepts_[1].astype(np.float32)
    return Problem(name, title, rows[:n_train], rows[n_train:], weights, bias, True, True)


def embeddings(seed, n_features=384, n_items=1000, n_train=6_000, n_test=3_000):
    """Queries times items, unit vectors of one kind: one of 200 topics each, and what a power law of factors adds."""
    rng = np.random.default_rng([seed, 6])
    deviations = np.arange(1, n_features + 1) ** -0.5
    mixing = np.linalg.qr(rng.standard_normal((n_features, n_features)))[0]
    topics = 0.8 * deviations * rng.standard_normal((200, n_features))

    def vectors(n):
        factors = topics[rng.integers(200, size=n)] + deviations * rng.standard_normal((n, n_features))
        rows = factors @ mixing
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    weights = np.ascontiguousarray(vectors(n_items).T)
    bias = np.zeros(n_items, dtype=np.float32)
    title = f"generated embeddings, 200 topics, {n_items:,} items"
    return Problem("embeddings", title, vectors(n_train), vectors(n_test), weights, bias, True, True)


def sentences(seed, n_items=1000, n_train=6_000):
    """The same of real sentences (sentences.py): queries and items are different ones."""
    rows = np.random.default_rng([seed, 10]).permutation(sentence_embeddings())
    train, test, items = np.split(rows, [n_train, len(rows) - n_items])
    weights = np.ascontiguousarray(items.T)
    bias = np.zeros(n_items, dtype=np.float32)
    title = f"sentence embeddings, {n_items:,} items"
    return Problem(f"sentences-{n_items}", title, train, test, weights, bias, True, True)


def centroids(seed, n_centroids=1000):
    """Which centroid of the generated head's features is nearest: the largest x . c - |c|^2 / 2."""
    from sklearn.cluster import MiniBatchKMeans

    head = synthetic_head(seed, n_test=4_000)
    means = MiniBatchKMeans(n_centroids, batch_size=4096, n_init=1, random_state=seed).fit(head.train).cluster_centers_
    weights = np.ascontiguousarray(means.T, dtype=np.float32)
    bias = (-0.5 * np.sum(means.astype(np.float64) ** 2, axis=1)).astype(np.float32)
    title = f"the nearest of {n_centroids:,} centroids"
    return Problem(f"centroids-{n_centroids}", title, head.train, head.test, weights, bias, True, True)


FRONTIER = {
    "digits": digits,
    "head": synthetic_head,
    "head-100": hundred_classes,
    "gray-5x5": gray_5x5,
    "dct-5x5": dct_5x5,
    "low-rank": low_rank,
    "white": white,
    "embeddings": embeddings,
    "net-clusters": network_of_clusters,
    "net-factors": network_of_factors,
    "net-signals": network_of_signals,
    "net-fashion": network_of_images,
    "centroids-1000": centroids,
    "sentences-1000": sentences,
    "sentences-7000": lambda seed: sentences(seed, n_items=7000),
    "embeddings-30000": lambda seed: embeddings(seed, n_items=30_000, n_train=4_000, n_test=1_000),
}

PROBLEMS = {
    "digits": digits,
    "head": synthetic_head,
    "low-rank": low_rank,
    "sobel-3x3": sobel_3x3,
    "gauss-5x5": gaussian_5x5,
    "dct-5x5": dct_5x5,
    "white": white,
}


def _filter_problem(name, title, bank, seed, n_train=20_000, n_test=20_000):
    """A bank (M, s, s), applied to all colours alike, on patches of scikit-learn's two photographs (see _patches).

    Train and test rows are patches at random positions of both photographs, at no position twice. Patches overlap:
    pixels of a test row may also be in training rows, as when one learns from a part of an image and filters the rest.
    """
    from sklearn.datasets import load_sample_images  # needs Pillow

    photographs = [photograph.astype(np.float32) for photograph in load_sample_images().images]
    patches = np.concatenate([_patches(photograph, bank.shape[1]) for photograph in photographs])
    rng = np.random.default_rng([seed, 4])
    rows = patches[rng.choice(len(patches), n_train + n_test, replace=False)]
    weights = np.tile(bank.reshape(len(bank), -1), 3).T.astype(np.float32)
    bias = np.zeros(len(bank), dtype=np.float32)
    return Problem(name, title, rows[:n_train], rows[n_train:], weights, bias, False, True)


def _patches(photograph, size):
    """float32 (height, width, 3) -> every patch as a row (n, 3 * size * size), one colour after the other, as in the
    authors' code: the published trainer's subspaces are contiguous, so the order of the columns matters to it."""
    windows = np.lib.stride_tricks.sliding_window_view(photograph, (size, size), axis=(0, 1))  # (h, w, 3, size, size)
    return windows.reshape(-1, 3 * size * size)


def _gaussian_weights(rng, n_features, n_outputs):
    return (rng.standard_normal((n_features, n_outputs)) / np.sqrt(n_features)).astype(np.float32)
