from io import StringIO

from rich.console import Console
from test_local import configs

from labelnoise.experiments.progress import progress_table, study_progress


def test_a_cell_tells_the_runs_of_one_noise_and_loss():
    runs = configs()  # four losses, two seeds each
    states = [(run, "done" if run.seed == 0 else "running") for run in runs[:-1]] + [(runs[-1], "failed")]
    console = Console(file=StringIO(), width=120)
    console.print(progress_table(states))
    text = console.file.getvalue()
    assert text.count("1/2, 1 running") == 3
    assert text.count("1/2, 1 failed") == 1
    assert "symmetric 40%" in text
    assert "precision 32-true" in text


def test_the_display_ends_with_what_it_was_told_last(capsys):
    with study_progress() as show:
        show([])
        show([(run, "done") for run in configs()])
    assert "8/8" in capsys.readouterr().err
