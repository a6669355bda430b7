import json
import pickle

import numpy as np
import pytest

from labelnoise.audit import audit_labels
from labelnoise.tasks import audit_files

PROBABILITIES = np.random.default_rng(0).dirichlet([0.3, 0.3, 0.3], size=300)
LABELS = PROBABILITIES.argmax(1)


@pytest.fixture
def files(tmp_path):
    np.save(tmp_path / "p.npy", PROBABILITIES)
    np.save(tmp_path / "y.npy", LABELS)
    return tmp_path


def test_both_files_say_what_the_library_says(files):
    found = audit_files(files / "p.npy", files / "y.npy", out=files / "deep" / "out")
    same = audit_labels(PROBABILITIES, LABELS)
    assert (files / "deep" / "out" / "labels.csv").read_text() == found.to_csv() == same.to_csv()
    assert json.loads((files / "deep" / "out" / "summary.json").read_text()) == same.summary()


class Hostile:
    def __reduce__(self):
        return print, ("run",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "p.npy cannot be read: .*No such file"),
        (b"", "p.npy cannot be read"),
        (b"nonsense", "p.npy cannot be read"),
        (pickle.dumps(Hostile()), "p.npy cannot be read"),
        (b"PK\x03\x04nonsense", "p.npy cannot be read"),
        (
            b"\x93NUMPY\x01\x00F\x00{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999,), }",
            "p.npy cannot be read",
        ),
        (
            b"\x93NUMPY\x01\x00F\x00{'descr': '<f8', 'fortran_order': False, 'shape': (9,),                  ",
            "p.npy cannot be read",
        ),
        (np.array(["a", "b"]), "pred_probs must be floating point, got <U1"),
        (PROBABILITIES[:10], r"labels must be of shape \(10,\)"),
    ],
)
def test_what_is_no_such_file_is_named_and_nothing_is_written(content, message, files, capsys):
    (files / "p.npy").unlink()
    if isinstance(content, np.ndarray):
        np.save(files / "p.npy", content)
    elif content is not None:
        (files / "p.npy").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        audit_files(files / "p.npy", files / "y.npy", out=files / "out")
    assert not (files / "out").exists()
    assert capsys.readouterr().out == ""


def test_a_folder_that_is_a_file_is_named(files):
    (files / "out").write_text("")
    with pytest.raises(ValueError, match="out must be a folder that can be written"):
        audit_files(files / "p.npy", files / "y.npy", out=files / "out")


def test_another_suffix_is_refused(files):
    (files / "p.npy").rename(files / "p.dat")
    with pytest.raises(ValueError, match=r"pred_probs must be an \.npy file, got .*p\.dat"):
        audit_files(files / "p.dat", files / "y.npy", out=files / "out")


@pytest.mark.parametrize("name", ["labels.csv", "summary.json", "source.json"])
def test_files_of_another_program_are_not_replaced(name, files):
    (files / "out").mkdir()
    (files / "out" / name).write_text('{"my": "results"}')
    with pytest.raises(ValueError, match=f"out must hold nothing but an earlier audit, got another {name} in"):
        audit_files(files / "p.npy", files / "y.npy", out=files / "out")
    assert [path.read_text() for path in (files / "out").iterdir()] == ['{"my": "results"}']


def test_an_audit_replaces_an_audit_but_no_decisions_and_no_fit(files):
    def audited():
        return audit_files(files / "p.npy", files / "y.npy", out=files / "out")

    audited()
    audited()
    labels = files / "out" / "labels.csv"
    first, *rest = labels.read_text().splitlines()
    assert first.split(",")[-1] == "decision"
    labels.write_text("\n".join([first, rest[0] + "keep", *rest[1:]]) + "\n")
    with pytest.raises(ValueError, match=r"labels.csv has decisions in it; review them first"):
        audited()
    assert "keep" in labels.read_text()
    labels.unlink()
    (files / "out" / "decisions.csv").write_text("index,decision,label\n0,keep,0\n")
    audited()  # of the same labels they hold
    np.save(files / "y.npy", (LABELS + 1) % 3)
    with pytest.raises(ValueError, match=r"decisions.csv is of other labels; move it away"):
        audited()
    (files / "out" / "decisions.csv").rename(files / "out" / "sample.csv")
    with pytest.raises(ValueError, match=r"sample.csv is of other labels; move it away"):
        audited()
    (files / "out" / "plan.json").write_text("{}")
    with pytest.raises(ValueError, match="out must not be the folder of a fit"):
        audited()
