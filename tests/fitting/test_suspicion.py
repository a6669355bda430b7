import numpy as np
import pytest
import torch
from noisy_data import CLASSES, features, trained, write_csv

from labelnoise.fitting import Request, prepare
from labelnoise.fitting.suspicion import audit_run, cross_validated, fold_jobs, one_run
from labelnoise.fitting.train import Job
from labelnoise.runs import Part

CCE = Part(name="cce")


def decided(folder, rows):
    """Features of which some rows have been checked."""
    path = write_csv(folder / "d.csv", ("index", "decision", "label"), [(row, "relabel", y) for row, y in rows.items()])
    return prepare(Request(features(folder).path, trusted=path))


def test_one_run_says_its_trajectory_of_what_it_learned_and_its_prediction_of_what_it_held_out(tmp_path):
    prepared = prepare(Request(features(tmp_path).path))
    said = one_run(prepared, trained(prepared, training=0.25, validation=0.75))[:, 1]
    assert (said[prepared.training.index] == 0.25).all()
    assert (said[prepared.validation.index] == 0.75).all()


def test_samples_of_another_file_are_no_rows_of_the_data(tmp_path):
    data = features(tmp_path)
    checked = tmp_path / "checked.npz"
    np.savez(checked, features=np.eye(3), labels=["cat", "dog", "cat"])
    prepared = prepare(Request(data.path, trusted=checked))
    assert (one_run(prepared, trained(prepared, training=0.25))[:, 1] == 0.25).all()


def test_folds_hold_every_doubted_row_once_and_each_class_in_proportion(tmp_path):
    prepared = decided(tmp_path, {3: "cat", 10: "dog"})
    jobs = fold_jobs(prepared, CCE, folds=3, seed=0)
    assert sorted(torch.cat([job.held for job in jobs]).tolist()) == sorted(set(range(160)) - {3, 10})
    assert len({job.name for job in jobs}) == 3
    for label in (0, 1):
        counts = [(prepared.given[job.held] == label).sum().item() for job in jobs]
        assert max(counts) - min(counts) <= 1
    assert not torch.equal(jobs[0].held, fold_jobs(prepared, CCE, folds=3, seed=1)[0].held)
    assert jobs[0].held.diff().abs().max() > 3  # shuffled


def test_cross_validation_takes_of_each_fold_what_it_has_not_seen(tmp_path):
    prepared = prepare(Request(features(tmp_path).path))
    jobs = [Job("a", CCE, held=torch.arange(0, 160, 2)), Job("b", CCE, held=torch.arange(1, 160, 2))]
    said = cross_validated(prepared, jobs, [trained(prepared, held=(80, share)) for share in (0.25, 0.75)])[:, 1]
    assert (said[::2] == 0.25).all()
    assert (said[1::2] == 0.75).all()


def test_of_decided_rows_the_audit_says_what_was_decided(tmp_path):
    data = features(tmp_path)
    wrong = int(data.wrong.nonzero()[0][0])
    right = int((~data.wrong).nonzero()[0][0])
    prepared = decided(tmp_path, {row: CLASSES[row % 2] for row in (wrong, right)})
    probabilities = torch.full((160, 2), 0.05)
    probabilities[torch.arange(160), torch.arange(160) % 2] = 0.95
    probabilities[[wrong, right]] = torch.tensor([0.5, 0.5])  # nobody asks the model of decided rows
    found = audit_run(prepared, trained(prepared), probabilities)
    assert [CLASSES[label] for label in found.given] == data.given.tolist()  # as written, for `review` compares
    assert (found.p_wrong[wrong], found.is_issue[wrong], found.suggested[wrong]) == (1, True, wrong % 2)
    assert (found.p_wrong[right], found.is_issue[right], found.suggested[right]) == (0, False, right % 2)
    assert np.array_equal(found.is_issue, data.wrong)
    assert found.estimate.rate == pytest.approx(found.p_wrong.mean())
    assert found.joint.sum() == pytest.approx(160)


def test_a_decision_counts_in_the_row_of_the_true_class(tmp_path):
    data = features(tmp_path)
    decisions = {int(row): CLASSES[row % 2] for row in data.wrong.nonzero()[0] if data.given[row] == CLASSES[1]}
    prepared = decided(tmp_path, decisions)
    probabilities = torch.full((160, 2), 0.05)
    probabilities[torch.arange(160), prepared.given] = 0.95  # no other label is doubted
    found = audit_run(prepared, trained(prepared), probabilities)
    assert found.joint[0, 1] - found.joint[1, 0] == pytest.approx(len(decisions), abs=0.5)


def test_evidence_is_of_the_rows_that_were_trained_on(tmp_path):
    prepared = prepare(Request(features(tmp_path).path))
    run = trained(prepared)
    found = audit_run(prepared, run, torch.full((160, 2), 0.5))
    assert found.evidence.keys() == {"mean_margin", "loss"}
    pruned = torch.arange(len(run.index))
    counted = audit_run(prepared, run._replace(epochs_pruned=pruned), torch.full((160, 2), 0.5)).evidence
    assert [counted["epochs_pruned"][row] for row in prepared.training.index] == pruned.tolist()
    margin = found.evidence["mean_margin"]
    assert [margin[row] for row in prepared.validation.index] == [None] * 32
    assert [margin[row] for row in prepared.training.index] == run.mean_margin.tolist()
