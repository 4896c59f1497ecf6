"""The README's example runs, and prints what stands below it."""

import contextlib
import io
import re
from pathlib import Path

README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_example_prints_what_it_says():
    code, output = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", README.read_text(), re.DOTALL).groups()
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {})
    lines, expected = printed.getvalue().splitlines(), output.splitlines()
    assert len(lines) == len(expected) == 3
    for line, said in zip(lines, expected):
        # Of the figures the first digits: scikit-learn's classifier differs a little from CPU to CPU.
        assert re.sub(r"[\d.e-]+", "#", line) == re.sub(r"[\d.e-]+", "#", said)
        shown, promised = (float(re.search(r"class ([\d.]+)", text)[1]) for text in (line, said))
        assert abs(shown - promised) < 0.02
