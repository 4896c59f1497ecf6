"""The picture of bench/frontier.py's points: time against 1-R2, a panel for each task and order of rows."""

from accuracy_plot import save_small
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

N_COLUMNS = 4
FAMILIES = {  # family: (label, style)
    "mixture": ("Mithral", {"color": "tab:blue", "marker": "o"}),
    "trees": ("Mithral, trees alone", {"color": "tab:cyan", "marker": ".", "linestyle": ":"}),
    "linear": ("Mithral, linear dims alone", {"color": "tab:purple", "marker": ".", "linestyle": ":"}),
    "latents": ("Mithral, latents alone", {"color": "tab:pink", "marker": ".", "linestyle": ":"}),
    "columns": ("columns + BLAS", {"color": "tab:orange", "marker": "."}),
    "lines": ("cache lines + BLAS", {"color": "tab:orange", "marker": "."}),
    "low rank": ("low rank + BLAS", {"color": "tab:green", "marker": "."}),
    "int8": ("int8 (onnxruntime)", {"color": "tab:red", "marker": "s", "linestyle": ""}),
    "exact": ("exact", {"color": "black", "marker": "*", "linestyle": ""}),
}
LEAST_ERROR = 1e-6  # what is drawn of smaller ones


def save_plot(points, path):
    panels = list(dict.fromkeys((p.task, p.order) for p in points))
    n_rows = -(-len(panels) // N_COLUMNS)
    figure = Figure(figsize=(3 * N_COLUMNS, 2.6 * n_rows + 0.6), layout="constrained")
    all_axes = figure.subplots(n_rows, N_COLUMNS, squeeze=False).ravel()
    for axes, panel in zip(all_axes, panels):
        for family, (label, style) in FAMILIES.items():
            of_family = sorted((p.seconds, p.nmse) for p in points if (p.task, p.order, p.family) == (*panel, family))
            if of_family:
                x, y = [1e6 * t for t, _ in of_family], [max(e, LEAST_ERROR) for _, e in of_family]
                axes.loglog(x, y, label=label, markersize=4, linewidth=1, **style)
        axes.set_title(f"{panel[0]}, {'row' if panel[1] == 'C' else 'column'}-major", fontsize=10)
        axes.set_xlabel("microseconds a call", fontsize=8)
        axes.set_ylabel("1 - R2", fontsize=8)
        axes.tick_params(labelsize=8)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(alpha=0.3)
    for axes in all_axes[len(panels) :]:
        axes.set_axis_off()
    handles = {label: handle for axes in figure.axes for handle, label in zip(*axes.get_legend_handles_labels())}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4, fontsize=9)
    save_small(figure, path)
