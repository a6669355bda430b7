import csv
import io
import json
import math

import numpy as np
import pytest
from hypothesis import given as examples
from hypothesis import strategies as st
from simulated import class_world

from labelnoise.audit import audit_labels, escape_cell, unescape_cell

HOSTILE = ("=1+1", "<script>", 'a "quoted", name', "'d")


@pytest.fixture(scope="module")
def audit():
    probabilities, given, *_ = class_world(n=500)
    return audit_labels(probabilities, given, class_names=HOSTILE)


def test_the_file_is_the_table_with_formulas_escaped(audit):
    rows = list(csv.DictReader(io.StringIO(audit.to_csv())))
    assert list(rows[0]) == list(audit.to_table().column_names)
    assert list(rows[0])[:5] == ["index", "id", "given_label", "suggested_label", "p_wrong"]
    assert [unescape_cell(row["given_label"]) for row in rows] == [HOSTILE[label] for label in audit.given]
    assert not any(row["given_label"].startswith("=") for row in rows)
    assert [float(row["p_wrong"]) for row in rows] == audit.p_wrong.tolist()
    assert [float(row["quality"]) for row in rows] == (1 - audit.p_wrong).tolist()
    assert {row["decision"] for row in rows} == {""}
    assert [row["is_issue"] == "True" for row in rows] == audit.is_issue.tolist()


def test_the_table_holds_the_names_as_they_are(audit):
    assert set(audit.to_table().column("given_label").to_pylist()) == set(HOSTILE)


def test_pandas_where_it_is_installed(audit):
    pytest.importorskip("pandas")
    assert len(audit.to_pandas()) == 500


def test_the_summary_is_json_and_adds_up(audit):
    summary = json.loads(json.dumps(audit.summary()))
    assert summary["num_samples"] == 500
    assert summary["num_issues"] == audit.is_issue.sum()
    assert summary["estimated_errors"] == round(audit.p_wrong.sum())
    assert summary["estimated_error_rate_low"] <= summary["estimated_error_rate"]
    assert summary["estimated_error_rate"] <= summary["estimated_error_rate_high"]
    counts = np.bincount(audit.given, minlength=4)
    by_given = np.array(list(summary["error_rate_by_given_class"].values()))
    assert (by_given * counts).sum() == pytest.approx(audit.p_wrong.sum())
    transition = np.array(summary["transition_matrix"])
    assert transition.sum(1) == pytest.approx(1)
    others = np.where(np.eye(4, dtype=bool), 0, transition).sum(1)
    assert list(summary["error_rate_by_true_class"].values()) == pytest.approx(others.tolist())


@examples(st.text() | st.text("+-=@\t\r 0123456789.eE", max_size=5))
def test_an_escaped_cell_is_no_formula_but_at_most_a_number_and_comes_back(text):
    escaped = escape_cell(text)
    assert unescape_cell(escaped) == text
    if escaped.startswith(("=", "+", "-", "@", "\t", "\r")):
        assert set(escaped[1:]) <= set("+-0123456789.eE")
        assert math.isfinite(float(escaped))
