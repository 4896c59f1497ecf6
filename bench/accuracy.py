"""Error and agreement of Mithral's trainer beside the published one's, on a digit classifier's last layer.

    .venv/bin/python bench/accuracy.py [--seed S] [--codebooks 8 16 32]

Both learn from the same training rows and are judged on the same test rows, which neither has seen; every model runs through
the same kernels, so at equal C it costs the same time. 1-R2 is the squared error over the outputs' variance; agreement the share
of rows whose largest output is the exact layer's.
"""

import argparse
import pathlib
import sys
import time

import numpy as np

import mithral
from mithral.demo import train_classifier

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from published import train_published  # noqa: E402


def judge(model, layer):
    exact = layer.test @ layer.weights + layer.bias
    y = mithral.compile(model)(layer.test)
    nmse = np.sum((y - exact) ** 2) / np.sum((exact - exact.mean(axis=0)) ** 2)
    return nmse, np.mean(y.argmax(axis=1) == exact.argmax(axis=1))


def published_model(layer, n_codebooks):
    arrays = train_published(layer.train, layer.weights, n_codebooks)
    arrays["offset"] = (arrays["offset"] + layer.bias).astype(np.float32)
    return mithral.Model(**arrays, n_features=layer.weights.shape[0])


def mithral_model(layer, n_codebooks, seed):
    return mithral.train(layer.train, layer.weights, layer.bias, n_codebooks=n_codebooks, seed=seed)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0, help="of the classifier, the split and the trainer (default: 0)")
    parser.add_argument("--codebooks", type=int, nargs="+", default=[4, 8, 16, 32, 64])
    options = parser.parse_args()
    layer = train_classifier(options.seed)
    print(f"{len(layer.train)} training rows, {len(layer.test)} test rows, 512 -> 10, seed {options.seed}")
    print("  C   published: 1-R2  agreement  seconds    Mithral: 1-R2  agreement  seconds    1-R2 ratio")
    for c in options.codebooks:
        cells = []
        for make in (lambda: published_model(layer, c), lambda: mithral_model(layer, c, options.seed)):
            start = time.perf_counter()
            model = make()
            cells.append((time.perf_counter() - start, *judge(model, layer)))
        (t0, e0, a0), (t1, e1, a1) = cells
        print(f"{c:>3} {e0:>17.4f} {a0:>10.3f} {t0:>8.1f} {e1:>16.4f} {a1:>10.3f} {t1:>8.1f} {e1 / e0:>13.2f}")


if __name__ == "__main__":
    main()
