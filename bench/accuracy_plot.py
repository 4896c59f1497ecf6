"""The picture of bench/accuracy.py's results: 1-R2 against C for each problem, then agreement for each classifier."""

import io

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from PIL import Image

N_COLUMNS = 3
LINES = {  # variant: (label, style)
    "published": ("published", {"color": "tab:gray", "marker": "s", "linestyle": "--"}),
    "mithral": ("Mithral", {"color": "tab:blue", "marker": "o"}),
    "argmax": ('Mithral, objective="argmax"', {"color": "tab:orange", "marker": "^"}),
}


def save_plot(results, classifiers, path):
    """results: Results of bench/accuracy.py; classifiers: names of the problems that get a panel for agreement too."""
    problems = list(dict.fromkeys(r.problem for r in results))
    panels = [(name, "nmse") for name in problems] + [(name, "agreement") for name in classifiers]
    n_rows = -(-len(panels) // N_COLUMNS)
    figure = Figure(figsize=(3 * N_COLUMNS, 2.6 * n_rows + 0.4), layout="constrained")
    all_axes = figure.subplots(n_rows, N_COLUMNS, squeeze=False).ravel()
    for axes, (name, field) in zip(all_axes, panels):
        for variant in LINES:
            if field == "agreement" or variant != "argmax":  # that objective does not aim at a small 1-R2
                _draw_line(axes, [r for r in results if (r.problem, r.variant) == (name, variant)], field)
        _label(axes, name, field)
    for axes in all_axes[len(panels) :]:
        axes.set_axis_off()
    handles = {label: handle for axes in figure.axes for handle, label in zip(*axes.get_legend_handles_labels())}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=len(LINES), fontsize=9)
    save_small(figure, path)


def save_small(figure, path):
    """A PNG of few colours, a third of the size."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=100)
    Image.open(buffer).convert("RGB").quantize(64).save(path, format="PNG", optimize=True)


def _draw_line(axes, results, field):
    if results:
        label, style = LINES[results[0].variant]
        values = [getattr(r, field) * (100 if field == "agreement" else 1) for r in results]
        axes.plot([r.n_codebooks for r in results], values, label=label, markersize=4, **style)


def _label(axes, name, field):
    axes.set_title(name, fontsize=10)
    axes.set_xlabel("codebooks C", fontsize=8)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3, which="both")
    if field == "nmse":
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_ylabel("1 - R2", fontsize=8)
    else:
        axes.set_ylabel("same class as exact, %", fontsize=8)
