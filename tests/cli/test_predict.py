import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "fitting"))  # the makers of small noisy data

from noisy_data import own_code, read_csv, table

from labelnoise.tasks import fit

QUICK = {"epochs": 2, "workers": 1, "loss": "gce", "refine": False, "folds": 0, "device": "cpu"}


def test_new_rows_get_a_label_each(invoke, tmp_path, capsys):
    data = table(tmp_path)
    fit(data.path, out=tmp_path / "fit", **QUICK, **data.options)
    capsys.readouterr()
    code, out, err = invoke("predict", tmp_path / "fit", data.path, "--out", tmp_path / "p.csv")
    assert (code, out) == (0, "")  # which is left to --out /dev/stdout
    assert err == f"160 rows predicted: {tmp_path / 'p.csv'}\n"
    rows = read_csv(tmp_path / "p.csv")
    assert list(rows[0]) == ["index", "id", "label", "probability"]
    assert {row["label"] for row in rows} <= {"cat", "dog"}
    assert all(0.5 <= float(row["probability"]) <= 1 for row in rows)


def test_mistakes_are_one_line(invoke, tmp_path, capsys):
    data = table(tmp_path)
    mine = own_code(tmp_path)
    fit(data.path, out=tmp_path / "fit", model=f"{mine}:linear", **QUICK, **data.options)
    capsys.readouterr()
    for fitted, new, message in [
        ("nowhere", data.path, "holds no fitted model"),
        ("fit", data.path, "is your own; give --model"),
    ]:
        code, out, err = invoke("predict", tmp_path / fitted, new, "--out", tmp_path / "p.csv")
        assert (code, out) == (2, "")
        assert err.startswith("labelnoise: ")
        assert message in err
        assert err.count("\n") == 1
    arguments = ("--out", tmp_path / "p.csv", "--model", f"{mine}:linear")
    assert invoke("predict", tmp_path / "fit", data.path, *arguments)[0] == 0
    code, _, err = invoke("predict", tmp_path / "fit", tmp_path / "nowhere.csv", *arguments)
    assert code == 2
    assert "there is no file" in err
