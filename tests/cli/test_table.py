from labelnoise.cli._table import print_candidates


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
