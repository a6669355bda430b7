"""Figures as inline SVG: of the losses themselves, and of runs."""

import io
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, product
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from labelnoise.losses import GCELoss, gce_loss
from labelnoise.losses.theory import gce_sum_bounds, sum_over_labels
from labelnoise.reports.tables import loss_names, problems_of, summarise
from labelnoise.runs import Run
from labelnoise.training import EpochMetrics

_QS = (0.0, 0.4, 0.7, 1.0)
_COLOURS = ("#4477aa", "#ee6677", "#228833", "#aa3377", "#ccbb44", "#66ccee")  # Paul Tol's bright, colour-blind safe
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
}


def loss_shapes() -> str:
    """Lq and the size of its gradient against p_y: why a larger q stops listening to wrong labels."""
    probability = torch.linspace(0.01, 0.99, 200, dtype=torch.float64)
    logits = torch.stack([probability.log(), (1 - probability).log()], dim=1).requires_grad_()
    labels = torch.zeros(len(probability), dtype=torch.int64)
    losses = [gce_loss(logits, labels, q, reduction="none") for q in _QS]
    names = [{0.0: "q = 0 (CCE)", 1.0: "q = 1 (MAE / 2)"}.get(q, f"q = {q}") for q in _QS]

    def value(ax: Axes) -> None:
        for loss, name, colour in zip(losses, names, _COLOURS, strict=False):
            ax.plot(probability, loss.detach(), color=colour, label=name)
        ax.set(title="loss", xlabel="p of the given label", ylim=(0, 4))
        ax.legend()

    def gradient(ax: Axes) -> None:
        for loss, colour in zip(losses, _COLOURS, strict=False):
            (slope,) = torch.autograd.grad(loss.sum(), logits, retain_graph=True)
            ax.plot(probability, slope.abs().sum(1), color=colour)
        ax.set(title="gradient (L1 norm over the logits)", xlabel="p of the given label")

    return _svg("loss", value) + _svg("gradient", gradient)


def bounded_sum(num_classes: int) -> str:
    """The sum of Lq over all labels for random predictions, inside the published bounds (equation 7)."""
    qs = np.linspace(0.05, 1, 20)

    def draw(ax: Axes) -> None:
        generator = torch.Generator().manual_seed(0)
        low, high = zip(*(gce_sum_bounds(q, num_classes) for q in qs), strict=True)
        ax.fill_between(qs, low, high, color=_COLOURS[0], alpha=0.2, label="between the bounds")
        for q, scale in product(qs, (0.5, 2.0, 8.0)):
            logits = scale * torch.randn(8, num_classes, generator=generator, dtype=torch.float64)
            sums = sum_over_labels(GCELoss(q, reduction="none"), logits)
            ax.plot([q] * len(sums), sums, ".", color=_COLOURS[1], markersize=2)
        ax.plot([], [], ".", color=_COLOURS[1], label="random predictions")
        ax.set(title=f"{num_classes} classes", xlabel="q", ylabel="sum over all labels", yscale="log")
        ax.legend()

    return _svg(f"bounded-sum-{num_classes}", draw)


def accuracy_by_epoch(runs: Sequence[Run], problem: str, rate: float) -> str:
    """Test accuracy by epoch at one problem and rate, the band one standard deviation over the seeds."""

    def draw(ax: Axes) -> None:
        _by_epoch(ax, runs, problem, rate, lambda metrics: 100 * metrics.test_accuracy)
        ax.set(ylabel="test accuracy, %", ylim=(0, 100))

    return _svg(f"accuracy-by-epoch-{problem}-{rate}", draw)


def loss_by_epoch(runs: Sequence[Run], problem: str, rate: float) -> str:
    """Cross entropy on the noisy validation labels by epoch, as :func:`accuracy_by_epoch`."""

    def draw(ax: Axes) -> None:
        _by_epoch(ax, runs, problem, rate, lambda metrics: metrics.validation_loss)
        ax.set(ylabel="validation loss, nats", ylim=(0, None))

    return _svg(f"loss-by-epoch-{problem}-{rate}", draw)


def belief_by_epoch(runs: Sequence[Run], problem: str, rate: float) -> str:
    """Mean p_y of rightly (solid) and wrongly (dashed) labelled training samples by epoch: the paper's figure 1."""

    def draw(ax: Axes) -> None:
        for colour, loss, chosen in _each_loss(runs, problem, rate):
            right, wrong = np.array([run.belief for run in chosen]).mean(0).T
            epochs = np.arange(1, len(right) + 1)
            ax.plot(epochs, right, "-", color=colour, label=loss)
            ax.plot(epochs, wrong, "--", color=colour)
        ax.set(title=_plain(f"{problem}, {rate:.0%}"), xlabel="epoch", ylabel="mean p of the given label", ylim=(0, 1))
        ax.legend()

    return _svg(f"belief-by-epoch-{problem}-{rate}", draw)


def accuracy_bars(runs: Sequence[Run], epoch: Literal["best", "last"]) -> str:
    """Test accuracy by loss and noise rate, at the best noisy-validation epoch or at the last."""
    summaries = summarise(runs)
    problems = problem_rates(runs)

    def draw(ax: Axes) -> None:
        losses = loss_names(runs).values()
        width = 0.8 / len(losses)
        for position, (colour, loss) in enumerate(zip(cycle(_COLOURS), losses, strict=False)):
            rows = [row for row in summaries if row.loss == loss]
            means, stds = zip(*(100 * np.array(getattr(row, epoch)) for row in rows), strict=True)
            groups = np.array([problems.index((row.problem, row.rate)) for row in rows])
            x = groups + (position - (len(losses) - 1) / 2) * width
            drawn = ax.bar(x, means, width, yerr=stds, color=colour, label=loss, error_kw={"linewidth": 1})
            ax.bar_label(drawn, fmt="%.0f", label_type="center", color="white", fontsize=8)
        ticks = [_plain(f"{problem} {rate:.0%}").replace(" ", "\n") for problem, rate in problems]
        ax.set_xticks(range(len(problems)), ticks, fontsize=8)
        title = "best noisy-validation epoch" if epoch == "best" else "last epoch"
        ax.set(title=title, ylabel="test accuracy, %", yticks=range(0, 101, 20))
        rows = _legend_above(ax)
        ax.set_ylim(0, max(100 / max(1 - 0.1 * rows, 0.2), 125))  # a row of the legend takes a tenth of the height

    return _svg(f"accuracy-bars-{epoch}", draw)


def _legend_above(ax: Axes) -> int:
    """A legend over the bars, in as many columns as fit; returns how many rows that makes."""

    def is_narrow(columns: int) -> bool:
        legend = ax.legend(ncols=columns, loc="upper center", columnspacing=1, handlelength=1)
        return columns == 1 or bool(legend.get_window_extent().width < ax.get_window_extent().width)

    columns = next(filter(is_narrow, (4, 3, 2, 1)))
    return -(-len(ax.get_legend_handles_labels()[1]) // columns)


def problem_rates(runs: Sequence[Run]) -> list[tuple[str, float]]:
    """The problems and rates of ``runs``, in their order."""
    problems = problems_of(runs)
    return list(dict.fromkeys((problems[run.config.problem], run.config.rate) for run in runs))


def at(runs: Sequence[Run], problem: str, rate: float) -> list[Run]:
    """Those of ``runs`` with one problem and rate."""
    problems = problems_of(runs)
    return [run for run in runs if (problems[run.config.problem], run.config.rate) == (problem, rate)]


def _each_loss(runs: Sequence[Run], problem: str, rate: float) -> Iterator[tuple[str, str, list[Run]]]:
    """Colour, name and runs of every loss that has some at this noise; a loss has one colour throughout a report."""
    for colour, (label, loss) in zip(cycle(_COLOURS), loss_names(runs).items(), strict=False):
        if chosen := [run for run in at(runs, problem, rate) if run.config.loss.label == label]:
            yield colour, loss, chosen


def _by_epoch(ax: Axes, runs: Sequence[Run], problem: str, rate: float, value: Callable[[EpochMetrics], float]) -> None:
    for colour, loss, chosen in _each_loss(runs, problem, rate):
        curves = np.array([[value(metrics) for metrics in run.history] for run in chosen])
        mean, std = curves.mean(0), curves.std(0, ddof=1) if len(curves) > 1 else 0 * curves[0]
        epochs = np.arange(1, len(mean) + 1)
        ax.plot(epochs, mean, color=colour, label=loss)
        ax.fill_between(epochs, mean - std, mean + std, color=colour, alpha=0.15, linewidth=0)
    ax.set(title=_plain(f"{problem}, {rate:.0%}"), xlabel="epoch")
    ax.legend()


def _plain(text: str) -> str:
    """For matplotlib, to which dollars are formulas."""
    return text.replace("$", r"\$")


def _svg(name: str, draw: Callable[[Axes], None]) -> str:
    """One panel; equal input gives equal bytes."""
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(4.8, 3.4), layout="constrained")
        draw(figure.subplots())
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    return re.sub(r"(\.\d\d)\d+", r"\1", svg[svg.index("<svg") :])  # a hundredth of a pixel is enough
