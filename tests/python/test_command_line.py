"""python -m mithral."""

import re
import subprocess
import sys

import pytest

import mithral


def run(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "mithral", *map(str, arguments)], capture_output=True, text=True, **options
    )


def test_the_demo_prints_one_table_and_saves_a_plot(tmp_path):
    plot = tmp_path / "plot.png"
    result = run("demo", "--rows", 500, "--seed", 1, "--codebooks", 2, 4, 8, "--output", plot)
    assert result.returncode == 0, result.stderr
    assert "training Mithral with C = 4" in result.stderr
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert f"Plot: {plot}" in result.stdout
    for label in ("row-major", "column-major", "generic", "interpreter", "1 - R2", "same class", "accuracy", "bytes"):
        assert label in result.stdout
    assert mithral.host()["brand"].strip() in result.stdout
    error = next(line for line in result.stdout.splitlines() if line.startswith("error on test rows"))
    figures = [float(word) for word in re.findall(r"0\.\d+", error)]
    assert len(figures) == 3 and figures == sorted(figures, reverse=True) and figures[-1] < 0.1


def test_help_and_version():
    assert "demo" in run("--help").stdout
    demo_help = run("demo", "--help").stdout
    assert all(option in demo_help for option in ("--codebooks", "--rows", "--seed", "--output"))
    assert run("--version").stdout.strip() == f"mithral {mithral.__version__}"


@pytest.mark.parametrize(
    "arguments, status, text",
    [
        ([], 2, "COMMAND"),
        (["sing"], 2, "sing"),
        (["demo", "--rows", "0"], 2, "--rows: '0'; allowed: integers from 1"),
        (["demo", "--rows", "many"], 2, "--rows: 'many'; allowed"),
        (["demo", "--codebooks", "8", "0"], 2, "--codebooks: '0'; allowed: integers from 1"),
        (["demo", "--seed", "-1"], 2, "--seed: '-1'; allowed: integers from 0"),
        (["demo", "--output", "/no/such/folder/plot.png"], 1, "there is no folder /no/such/folder"),
        (["demo", "--output", "plot.exe"], 1, "'plot.exe'; allowed: a name that ends in one of"),
    ],
)
def test_wrong_arguments(arguments, status, text):
    result = run(*arguments)
    assert result.returncode == status and text in result.stderr and "Traceback" not in result.stderr


def test_missing_packages_are_named(tmp_path):
    (tmp_path / "sklearn.py").write_text("raise ImportError('No module named sklearn')")
    result = run("demo", cwd=tmp_path)
    assert result.returncode == 1 and "pip install 'mithral[demo]'" in result.stderr
