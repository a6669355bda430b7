"""What is drawn, by looking at the axes: the SVG itself says coordinates only."""

import pytest
from matplotlib.figure import Figure
from test_sections import with_curves
from test_tables import runs

from labelnoise.reports import figures
from labelnoise.runs import Part


@pytest.fixture
def drawn(monkeypatch):
    """``drawn(figure, *arguments)``: the axes that a figure has been drawn on."""

    def draw(figure, *arguments):
        axes = Figure().subplots()
        monkeypatch.setattr(figures, "_svg", lambda _, on: on(axes) or "")
        figure(*arguments)
        return axes

    return draw


def test_the_accuracy_by_epoch_is_that_of_the_test_set(drawn):
    axes = drawn(figures.accuracy_by_epoch, with_curves(1, cce=(0.1, 0.4, 0.9)), "symmetric", 0.0)
    assert axes.lines[0].get_ydata() == pytest.approx([10, 40, 90])


def test_the_band_is_one_standard_deviation_to_either_side(drawn):
    first, second = with_curves(2, cce=(0.1, 0.4, 0.9))
    history = [metrics._replace(test_accuracy=metrics.test_accuracy + 0.1) for metrics in second.history]
    axes = drawn(figures.accuracy_by_epoch, [first, second._replace(history=history)], "symmetric", 0.0)
    assert axes.lines[0].get_ydata() == pytest.approx([15, 45, 95])
    heights = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == pytest.approx((15 - 50**0.5, 95 + 50**0.5))


def test_the_loss_by_epoch_is_that_of_validation(drawn):
    axes = drawn(figures.loss_by_epoch, with_curves(1, cce=(0.1, 0.4, 0.9)), "symmetric", 0.0)
    assert axes.lines[0].get_ydata() == pytest.approx([1, 1, 1])


def test_belief_in_right_labels_is_solid_and_in_wrong_ones_dashed(drawn):
    axes = drawn(figures.belief_by_epoch, with_curves(1, cce=(0.1, 0.4, 0.9)), "symmetric", 0.0)
    assert {line.get_linestyle(): line.get_ydata()[0] for line in axes.lines} == {"-": 0.9, "--": 0.1}


@pytest.mark.parametrize(("epoch", "height"), [("best", 90), ("last", 50)])
def test_bars_are_of_their_epoch(drawn, epoch, height):
    axes = drawn(figures.accuracy_bars, runs(1), epoch)
    assert {round(bar.get_height()) for bar in axes.patches} == {height}


@pytest.mark.parametrize("length", [3, 10, 40])
def test_the_legend_of_the_bars_lies_within_the_figure_and_above_them(length, monkeypatch):
    shown = []
    monkeypatch.setattr(Figure, "savefig", lambda self, file, **_: shown.append(self) or file.write("<svg"))
    names = [{"loss": Part(name=run.config.loss.name.ljust(length, "e"))} for run in runs(1)]
    named = [run._replace(config=run.config.model_copy(update=name)) for run, name in zip(runs(1), names, strict=True)]
    figures.accuracy_bars(named, "best")
    (figure,) = shown
    figure.draw_without_rendering()
    legend, (axes,) = figure.axes[0].get_legend().get_window_extent(), figure.axes
    assert 0 < legend.x0 < legend.x1 < figure.bbox.width
    assert axes.transData.inverted().transform((0, legend.y0))[1] >= 100
