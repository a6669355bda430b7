from labelnoise.cli._table import print_candidates, print_summaries
from labelnoise.reports import Summary
from labelnoise.reports.tables import Spread
from labelnoise.runs import RunConfig


def test_the_arrow_is_on_the_chosen_candidate_and_test_accuracies_under_their_heads(capsys):
    rows = [
        {
            "name": name,
            "best_epoch": 3,
            "validation_accuracy": 0.5,
            "standard_error": 0.01,
            "test_accuracy_best": 0.8,
            "test_accuracy_last": 0.7,
        }
        for name in ("cce", "gce", "mae")
    ]
    print_candidates({"candidates": rows, "selected_by": "accuracy", "loss": "gce"})
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    told = ["3", "50.0", "±", "1.0", "80.0", "70.0"]
    assert [line for line in lines if told == line[-6:]] == [["cce", *told], ["→", "gce", *told], ["mae", *told]]
    assert ["best", "last"] in [line[-2:] for line in lines]


def test_every_figure_of_a_summary_stands_under_its_head(capsys):
    best, last, auroc, precision, recall = (Spread(value, 0.01) for value in (0.9, 0.8, 0.7, 0.6, 0.5))
    row = Summary("symmetric", 0.4, "gce", RunConfig.model_construct(), 3, best, last, auroc, precision, recall)
    print_summaries([row, row._replace(loss="mae", seeds=2)])
    printed = capsys.readouterr().out
    lines = [line.split() for line in printed.splitlines()]
    heads = lines.index(["noise", "loss", "epoch", "epoch", "found", "right"])
    assert lines[heads - 1] == ["best", "last", "errors", "flags"]
    told = ["90.0", "±", "1.0", "80.0", "±", "1.0", "50.0", "±", "1.0", "60.0", "±", "1.0"]
    assert [line for line in lines if told == line[-12:]] == [
        ["symmetric", "40%", name, *told] for name in ("gce", "mae")
    ]
    assert "seeds: 2 to 3" in " ".join(printed.split())
