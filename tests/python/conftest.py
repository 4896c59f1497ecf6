import numpy as np
import pytest

import mithral
from models import random_model

BACKENDS = ("jit", "generic", "interpreter")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def model(rng):
    return random_model(rng)


@pytest.fixture(params=BACKENDS)
def backend(request):
    if request.param == "jit" and not mithral.host()["isas"]:
        pytest.skip("this CPU runs no ISA that code is generated for")
    return request.param


@pytest.fixture
def kernel(model, backend):
    return mithral.compile(model, backend=backend)
