import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1] / "tasks"))  # the maker of audits

from reviewed import audited_table, decide, read_rows

from labelnoise.cli.review import review

app = typer.Typer()
app.command()(review)


@pytest.fixture
def folder(tmp_path):
    return audited_table(tmp_path)


def run(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)])


def test_three_lines_say_what_was_done_and_where_it_lies(folder):
    decide(folder / "labels.csv", {0: "accept", 1: "keep"})
    done = run(folder)
    assert done.exit_code == 0
    assert done.output.splitlines() == [
        "120 labels: 1 changed, 1 confirmed, 118 undecided",
        f"Cleaned copy: {folder / 'cleaned.csv'}, the rows you decided: {folder / 'cleaned.csv.provenance.csv'}",
        f"All decisions so far: {folder / 'decisions.csv'}",
    ]
    decide(folder / "labels.csv", {0: "keep"})
    assert run(folder).output.splitlines()[0] == "120 labels: 0 changed, 2 confirmed, 118 undecided (1 decided anew)"


def test_every_option_reaches_the_task(folder, tmp_path):
    (tmp_path / "mine.csv").write_text("index,decision\n0,accept\n")
    (tmp_path / "data.csv").rename(tmp_path / "moved.csv")
    out = tmp_path / "copy.csv"
    done = run(folder, "--decisions", tmp_path / "mine.csv", "--out", out, "--data", tmp_path / "moved.csv")
    assert done.exit_code == 0
    assert f"Cleaned copy: {out}" in done.output
    assert out.exists()


def test_a_sample_from_its_drawing_to_its_count(folder):
    drawn = run(folder, "--sample", 20, "--seed", 1)
    assert drawn.output.splitlines() == [
        f"20 rows drawn at random: {folder / 'sample.csv'}",
        f"Decide each: keep, or relabel and the class in label; then run: labelnoise review {folder}",
    ]
    first, *others = [int(row["index"]) for row in read_rows(folder / "sample.csv")]
    decide(folder / "sample.csv", dict.fromkeys(others, "keep"))
    again = run(folder, "--sample", 30)
    assert again.output == f"Nothing drawn: {folder / 'sample.csv'} is there, 1 of 20 rows are undecided.\n"
    assert "1 of 20 rows in" in run(folder).output.splitlines()[-1]
    decide(folder / "sample.csv", {first: "keep"})
    last = run(folder).output.splitlines()[-1]
    assert last.startswith("By the random sample of 20, 0.0% of all given labels are wrong, between 0.0% and 1")
    assert last.endswith("(95 %).")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "labels.csv must have accept, keep or relabel as decision in some row"),
        (("--sample", 121), "size must be within"),
        (("--sample", 20, "--out", "x.csv"), "sample must be given without decisions, out and data"),
        (("--decisions", "no.csv"), "no.csv cannot be read"),
    ],
)
def test_what_the_user_got_wrong(folder, arguments, message):
    before = sorted(folder.iterdir())
    done = run(folder, *arguments)
    assert isinstance(done.exception, ValueError)
    assert message in str(done.exception)
    assert "\n" not in str(done.exception)
    assert sorted(folder.iterdir()) == before
