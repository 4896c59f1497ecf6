"""The folders' dependency rules, checked on the #include lines and on the CMake files."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# What each folder may include besides the standard library: own folders, and third-party headers by their first path part
# (cpu_features has none: its CMake target points into its folder).
MAY_INCLUDE = {
    "codegen": {"codegen"},
    "jit": {"jit", "codegen", "xbyak"},
    "train": {"train", "codegen", "Eigen"},
    "runtime": {"runtime", "jit", "codegen", "cpuid.h", "cpuinfo_x86.h"},
    "python": {"python", "runtime", "train", "codegen", "pybind11"},
}

# What parts of the house see of codegen's folders; all others see all of them. encode and scan know nothing of each
# other: what they agree on, the code layout and the routines' arguments, is in program.
MAY_INCLUDE_OF_CODEGEN = {
    "codegen/model": {"model"},
    "codegen/program": {"program", "model"},
    "codegen/encode": {"encode", "program", "model"},
    "codegen/scan": {"scan", "program", "model"},
    "codegen/plan": {"plan", "scan", "encode", "program", "model"},
    "jit": {"program", "model"},
    "train": {"model"},
}

# Folders that others may use only through their public (installed) headers.
PUBLIC_ONLY = {"python": {"codegen", "train", "runtime"}}

# train/trees learns one kind of encoder. Whatever fits tables to codes must not know it: only train() knows both.
KNOW_TREES = {"train/train.cpp", "train/learn_parts.cpp", "train/learn_parts.h"}

# Headers of the operating system and the compiler, which count as the standard library outside public headers.
SYSTEM = {
    "dlfcn.h",
    "elf.h",
    "emmintrin.h",
    "fcntl.h",
    "immintrin.h",
    "pthread.h",
    "sched.h",
    "sys/mman.h",
    "sys/stat.h",
    "sys/syscall.h",
    "unistd.h",
    "xmmintrin.h",
}

# The third-party library that only one folder links, and links privately.
OWNER_OF = {"xbyak": "jit", "Eigen3": "train", "CpuFeatures": "runtime", "pybind11": "python"}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def includes(text):
    """All (is_quoted, path) of the #include lines of a source text."""
    return [(quote == '"', path) for quote, path in INCLUDE.findall(text)]


def is_standard(path):
    """C++ standard headers have neither a folder nor a suffix; the C ones are used as <cname>."""
    return "/" not in path and "." not in path


def public_headers():
    """The HEADERS of each mithral_library call, as "folder/header"."""
    return {
        f"{cmake.parent.name}/{header}"
        for cmake in ROOT.glob("*/CMakeLists.txt")
        for group in re.findall(r"\bHEADERS\s((?:\s*[\w/]+\.h\b)+)", cmake.read_text())
        for header in group.split()
    }


def wings_seen_by(name):
    """The parts of codegen whose headers the file `name` may include."""
    for place, seen in MAY_INCLUDE_OF_CODEGEN.items():
        if name.startswith(place + "/"):
            return seen
    return {path.relative_to(ROOT / "codegen").parts[0] for path in (ROOT / "codegen").rglob("*.h")} | {"program"}


def include_errors(name, text, public):
    """What is wrong with the includes of the file `name` ("folder/file"), one message each."""
    folder = name.split("/")[0]
    errors = []
    for is_quoted, path in includes(text):
        first = path.split("/")[0]
        is_ours = first in {"codegen", "jit", "train", "runtime", "python", "tests", "bench"}
        if is_standard(path) and not is_quoted:
            continue
        if path in SYSTEM and name not in public:
            continue
        if is_ours != is_quoted:
            errors.append(f'{name}: {path}: our headers are included as "folder/header.h", all others as <header>')
        elif first not in MAY_INCLUDE[folder]:
            errors.append(f"{name}: {path}: {folder} may include only {', '.join(sorted(MAY_INCLUDE[folder]))}")
        elif first == "codegen" and path.split("/")[1] not in wings_seen_by(name):
            errors.append(f"{name}: {path}: {name.rsplit('/', 1)[0]} may not know codegen/{path.split('/')[1]}")
        elif folder == "train" and path.startswith("train/trees/") and not (
            name.startswith("train/trees/") or name in KNOW_TREES
        ):
            errors.append(f"{name}: {path}: tables are fitted to codes, whichever encoder made them")
        elif first in PUBLIC_ONLY.get(folder, ()) and path not in public:
            errors.append(f"{name}: {path}: {folder} may include only public headers of {first}")
        elif name in public and path not in public:
            errors.append(f"{name}: {path}: a public header may include only the standard library and public headers")
    return errors


def sources():
    return sorted(
        path for folder in MAY_INCLUDE for path in (ROOT / folder).rglob("*") if path.suffix in {".h", ".cpp", ".def"}
    )


def test_there_are_public_headers_and_sources():
    assert {"codegen/model/model.h", "runtime/kernel.h", "train/train.h"} <= public_headers()
    assert {path.parent.name for path in sources()} >= {"codegen", "runtime", "train"}


def test_every_include_is_allowed():
    public = public_headers()
    errors = [e for path in sources() for e in include_errors(path.relative_to(ROOT).as_posix(), path.read_text(), public)]
    assert not errors, "\n".join(errors)


@pytest.mark.parametrize(
    "name, line",
    [
        ("codegen/lower.cpp", "#include <xbyak/xbyak.h>"),
        ("codegen/lower.cpp", '#include "jit/emit.h"'),
        ("jit/emit.cpp", '#include "runtime/host.h"'),
        ("jit/emit.cpp", "#include <cpuinfo_x86.h>"),
        ("train/train.cpp", '#include "runtime/kernel.h"'),
        ("train/fit_tables.cpp", '#include "train/trees/hash_tree.h"'),
        ("train/ridge.h", '#include "train/trees/split.h"'),
        ("runtime/host.cpp", "#include <Eigen/Core>"),
        ("runtime/host.cpp", "  #  include <xbyak/xbyak.h>  // indented"),
        ("runtime/kernel.h", '#include "jit/emit.h"'),
        ("codegen/model/model.h", "#include <sys/mman.h>"),
        ("python/module.cpp", '#include "codegen/program/program.h"'),
        ("python/module.cpp", '#include "jit/emit.h"'),
        ("codegen/model/model.cpp", '#include "codegen/program/program.h"'),
        ("codegen/program/print.cpp", '#include "codegen/lower.h"'),
        ("codegen/encode/lower_stage.cpp", '#include "codegen/scan/scan_plan.h"'),
        ("codegen/encode/trees/lower_trees.cpp", '#include "codegen/plan/schedule.h"'),
        ("codegen/scan/lower_scan.cpp", '#include "codegen/encode/encoder_lowering.h"'),
        ("codegen/scan/lower_scan.cpp", '#include "codegen/plan/schedule.h"'),
        ("jit/emit.cpp", '#include "codegen/lower.h"'),
        ("train/ridge.cpp", '#include "codegen/plan/estimate.h"'),
        ("codegen/model/model.cpp", '#include "model.h"'),
        ("codegen/model/model.cpp", "#include <codegen/model/model.h>"),
        ("codegen/model/model.cpp", "#include <math.h>"),
    ],
)
def test_a_forbidden_include_is_caught(name, line):
    assert include_errors(name, f"// a comment\n{line}\n#include <vector>\n", public_headers())


@pytest.mark.parametrize(
    "name, line",
    [
        ("codegen/lower.cpp", '#include "codegen/model/model.h"'),
        ("codegen/lower.cpp", '#include "codegen/scan/scan_plan.h"'),
        ("codegen/plan/candidates.cpp", '#include "codegen/scan/lut_segments.h"'),
        ("jit/emit.cpp", "#include <xbyak/xbyak.h>"),
        ("jit/code_memory.cpp", "#include <sys/mman.h>"),
        ("train/train.cpp", "#include <Eigen/Cholesky>"),
        ("train/train.cpp", '#include "train/trees/choose_trees.h"'),
        ("train/trees/boosting.cpp", '#include "train/trees/grow_tree.h"'),
        ("train/trees/boosting.cpp", '#include "train/ridge.h"'),
        ("runtime/kernel.cpp", '#include "jit/emit.h"'),
        ("python/module.cpp", '#include "runtime/kernel.h"'),
    ],
)
def test_an_allowed_include_passes(name, line):
    assert not include_errors(name, line, public_headers())


def cmake_text(folder):
    text = (ROOT / folder / "CMakeLists.txt").read_text()
    return re.sub(r"#.*", "", text)


@pytest.mark.parametrize("folder", MAY_INCLUDE)
def test_third_party_libraries_are_private_and_of_one_folder(folder):
    text = cmake_text(folder)
    for package in re.findall(r"find_package\((\w+)", text):
        assert OWNER_OF.get(package, folder) == folder, f"{folder} may not link {package}"
    for public in re.findall(r"\bPUBLIC\b(.*?)(?=\bPRIVATE\b|\bINTERFACE\b|\))", text, re.DOTALL):
        third_party = [word for word in public.split() if not word.startswith("mithral_")]
        assert not third_party, f"{folder}: PUBLIC {third_party}: third-party libraries are linked PRIVATE"


def test_the_libraries_link_only_what_they_may():
    for folder in MAY_INCLUDE:
        for library in re.findall(r"mithral(?:_|::)(codegen|jit|train|runtime)\b", cmake_text(folder)):
            assert library in MAY_INCLUDE[folder], f"{folder} may not link {library}"
