"""The pictures of bench/report.py: how much faster than the exact product, and how near to the core's limits."""

from matplotlib.figure import Figure
from report_data import Limits
from report_tables import WANTED_NEIGHBOUR_RATIO, best_exact, kernels, neighbour_ratios

N_CODEBOOKS = 16
STYLES = {"columns": {"alpha": 1.0}, "rows": {"alpha": 0.5}}
COLOURS = ("tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple")


def save_plots(run, folder):
    """Writes speed.png, limit.png and neighbours.png as far as the run has something for them. Returns their names."""
    names = []
    if run.shapes():
        _save_bars(run, folder / "speed.png", _faster_than_exact, "times faster than exact float32")
        _save_bars(run, folder / "limit.png", _of_limit, "share of the limit")
        names += ["speed.png", "limit.png"]
    if neighbour_ratios(run):
        _save_neighbours(run, folder / "neighbours.png")
        names.append("neighbours.png")
    return names


def _faster_than_exact(run, shape, measurement):
    exact, _ = best_exact(run, shape, "float32", "rows|columns")
    return exact / measurement.us if exact else 0


def _of_limit(run, shape, measurement):
    return Limits(run, shape).bound(measurement.counters).limit / measurement.us


def _save_bars(run, path, value, label):
    """A bar a shape, order and maker, at one number of codebooks."""
    shapes = run.shapes()
    series = {}
    for index, shape in enumerate(shapes):
        for n_codebooks, maker, order, m in kernels(run, shape):
            if n_codebooks == N_CODEBOOKS:
                series.setdefault((maker, order), []).append((index, value(run, shape, m)))
    makers = list(dict.fromkeys(maker for maker, _ in series))
    figure = Figure(figsize=(0.9 * len(shapes) + 4, 4.5), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / max(len(series), 1)
    for place, ((maker, order), points) in enumerate(sorted(series.items())):
        at = [index + (place - (len(series) - 1) / 2) * width for index, _ in points]
        colour = COLOURS[makers.index(maker) % len(COLOURS)]
        axes.bar(at, [v for _, v in points], width, label=f"{maker}, {order}", color=colour, **STYLES[order])
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set_xticks(range(len(shapes)), shapes, rotation=30, ha="right", fontsize=8)
    axes.set_yscale("log")
    axes.set_ylabel(f"{label}, C = {N_CODEBOOKS}", fontsize=8)
    axes.grid(alpha=0.3, axis="y", which="both")
    figure.legend(loc="outside upper center", fontsize=7, ncols=3)
    figure.savefig(path, dpi=100)


def _save_neighbours(run, path):
    ratios = sorted(row[-2] for row in neighbour_ratios(run))
    figure = Figure(figsize=(7, 3), layout="constrained")
    axes = figure.subplots()
    axes.plot(ratios, marker=".", linestyle="none")
    axes.axhline(1, color="black", linewidth=0.8)
    axes.axhline(WANTED_NEIGHBOUR_RATIO, color="tab:red", linewidth=0.8, linestyle="--")
    axes.set_xlabel("calls where N, D or M is a power of two, by their ratio", fontsize=8)
    axes.set_ylabel("time over that of its odd neighbours", fontsize=8)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=100)
