import subprocess
import sys

import numpy as np

from labelnoise.audit import audit_labels


def audit(folder, *arguments):
    line = [sys.executable, "-m", "labelnoise", "audit", "--pred-probs", "p.npy", "--labels", "y.npy", "--out", "out"]
    return subprocess.run([*line, *arguments], cwd=folder, capture_output=True, text=True, check=False)


def test_the_count_and_its_interval_are_told_and_both_files_written(tmp_path):
    random = np.random.default_rng(0)
    probabilities = random.dirichlet([0.2, 0.2, 0.2], size=600)
    np.save(tmp_path / "p.npy", probabilities)
    labels = np.where(random.random(600) < 0.2, random.integers(3, size=600), probabilities.argmax(1))
    np.save(tmp_path / "y.npy", labels)
    done = audit(tmp_path, "--assume", "class", "--max-false-flags", "0.1")
    assert done.returncode == 0, done.stderr
    assert "of 600 labels are estimated to be wrong, between" in done.stdout
    expected = audit_labels(probabilities, labels, assume="class", max_false_flags=0.1).to_csv()
    assert (tmp_path / "out" / "labels.csv").read_text() == expected
    assert (tmp_path / "out" / "summary.json").exists()


def test_mistakes_are_one_line(tmp_path):
    failed = audit(tmp_path)
    assert failed.returncode == 2
    assert failed.stderr.startswith("labelnoise: p.npy cannot be read: No such file")
    assert failed.stderr.count("\n") == 1
