"""The package as its users and their tools see it."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mithral
from mithral import _core

ROOT = Path(__file__).resolve().parents[2]
STUB = ast.parse((Path(mithral.__file__).parent / "_core.pyi").read_text())


def stub_signatures():
    """{"Model.encode": ["self", "X"], ...}; "*" stands before keyword-only parameters, "=" after those with a default."""
    found = {}
    for node in STUB.body:
        functions = [("", node)] if isinstance(node, ast.FunctionDef) else []
        if isinstance(node, ast.ClassDef):
            functions = [(node.name + ".", f) for f in node.body if isinstance(f, ast.FunctionDef)]
        for prefix, function in functions:
            is_property = any(isinstance(d, ast.Name) and d.id == "property" for d in function.decorator_list)
            if not is_property and not function.name.endswith("state__"):  # pickle's own protocol has no signature
                found[prefix + function.name] = parameters(function.args)
    return found


def parameters(arguments):
    plain = [a.arg for a in arguments.args]
    first_default = len(plain) - len(arguments.defaults)
    names = [name + ("=" if i >= first_default else "") for i, name in enumerate(plain)]
    if arguments.kwonlyargs:
        names.append("*")
        names += [a.arg + ("=" if d is not None else "") for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults)]
    return names


def runtime_parameters(name):
    """The same, of the extension module, from the first line of the docstring that pybind11 writes."""
    target = _core
    for part in name.split("."):
        target = getattr(target, part)
    line = target.__doc__.splitlines()[0]
    line = re.sub(r" = ('[^']*'|[\w.]+)", "=", re.sub(r"\s*->.*", "", line))
    inner = re.sub(r"\[[^\[\]]*\]", "", line[line.index("(") + 1 : -1])
    return [re.sub(r":[^,=]*", "", word).strip() for word in inner.split(",") if word.strip() not in ("", "/")]


def test_public_names():
    assert set(mithral.__all__) == {
        "BadModelError", "Estimate", "Kernel", "Model", "Tuning", "TuningRow", "UnsupportedTargetError", "__version__",
        "compile", "estimate", "from_bolt", "from_halut", "host", "isas", "train", "tune",
    }  # fmt: skip
    assert all(hasattr(mithral, name) for name in mithral.__all__)
    assert (Path(mithral.__file__).parent / "py.typed").exists()


def test_the_version_is_that_of_the_build():
    text = (ROOT / "CMakeLists.txt").read_text()
    assert f"project(mithral VERSION {mithral.__version__} " in text


def test_everything_public_is_documented():
    documented = [mithral] + [getattr(mithral, name) for name in mithral.__all__ if not name.startswith("_")]
    documented += [getattr(c, n) for c in (mithral.Model, mithral.Kernel) for n in dir(c) if not n.startswith("_")]
    assert all(inspect.getdoc(thing) for thing in documented)


def test_errors_are_of_the_promised_kinds():
    assert issubclass(mithral.BadModelError, ValueError)
    assert issubclass(mithral.UnsupportedTargetError, RuntimeError)
    assert mithral.BadModelError.__module__ == mithral.Model.__module__ == "mithral"


@pytest.mark.parametrize("name", stub_signatures())
def test_the_stub_has_the_signatures_of_the_module(name):
    assert runtime_parameters(name) == stub_signatures()[name]


@pytest.mark.parametrize("name", ["Model", "Kernel", None])
def test_the_stub_has_the_names_of_the_module(name):
    owner = getattr(_core, name) if name else _core
    body = next(n for n in STUB.body if isinstance(n, ast.ClassDef) and n.name == name).body if name else STUB.body
    stubbed = {n.name for n in body if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    assert {n for n in stubbed if not n.startswith("_")} == {n for n in dir(owner) if not n.startswith("_")}


def test_isas_and_host():
    assert mithral.isas() == ["sse41", "avx2", "avx512", "avx512_vbmi"]
    host = mithral.host()
    assert set(host) == {"vendor", "brand", "microarchitecture", "features", "isas"}
    assert set(host["isas"]) <= set(mithral.isas())
    with open("/proc/cpuinfo") as cpuinfo:
        flags = set(re.search(r"^flags\s*:(.*)$", cpuinfo.read(), re.MULTILINE)[1].split())
    sse41 = {"ssse3", "sse4_1"}
    avx2 = sse41 | {"avx2", "fma", "f16c"}
    avx512 = avx2 | {"avx512f", "avx512bw", "avx512dq", "avx512vl"}
    needs = {
        "sse41": sse41,
        "avx2": avx2,
        "avx512": avx512,
        "avx512_vbmi": avx512 | {"avx512vbmi", "avx512_vnni"},
    }
    assert host["isas"] == [isa for isa in mithral.isas() if needs[isa] <= flags]
    assert mithral.host() is not host, "a new dict each time"


def test_importing_needs_none_of_the_optional_packages():
    code = "import sys, mithral; print(sorted({'sklearn', 'matplotlib', 'scipy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
