import pytest
import torch
from problem import EPOCHS, blobs, run

from labelnoise.training import Trajectory, evaluate, open_fabric


def a_trajectory(*, least_epochs=0, **kwargs):
    trajectory = Trajectory(30, 2, torch.device("cpu"), least_epochs=least_epochs)
    return trajectory, run("cce", trajectory=trajectory, **kwargs)


def own_column(trajectory, result):
    """p_y, of which the record is an independent witness."""
    return trajectory.probability.gather(1, result.record.labels[:, None])[:, 0]


def test_it_is_the_mean_up_to_the_best_epoch_of_what_the_steps_saw():
    trajectory, (_, result) = a_trajectory()
    assert result.best_epoch < EPOCHS  # else the test would not see where the mean ends
    seen = result.record.label_probability[: result.best_epoch].mean(0)
    torch.testing.assert_close(own_column(trajectory, result), seen, rtol=2**-9, atol=1e-6)  # the record is float16
    torch.testing.assert_close(trajectory.probability.sum(1), torch.ones(30))


def test_it_goes_on_where_the_best_epoch_comes_early():
    trajectory, (_, result) = a_trajectory(least_epochs=EPOCHS - 1)
    assert result.best_epoch < EPOCHS - 1
    seen = result.record.label_probability[: EPOCHS - 1].mean(0)
    torch.testing.assert_close(own_column(trajectory, result), seen, rtol=2**-9, atol=1e-6)


def test_watching_changes_nothing():
    _, (_, watched) = a_trajectory()
    assert watched.history == run("cce")[1].history


def test_interrupted_and_resumed_it_is_the_same(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        a_trajectory(checkpoint=tmp_path / "checkpoint.pt", stop_at=3)
    resumed, _ = a_trajectory(checkpoint=tmp_path / "checkpoint.pt")
    assert torch.equal(resumed.probability, a_trajectory()[0].probability)


def test_balanced_accuracy_is_the_mean_recall_of_the_classes_there_are():
    data = blobs(20, "validation")
    data = data.take(torch.cat([(data.labels == 0).nonzero()[:3, 0], (data.labels == 1).nonzero()[:, 0]]))
    model, _ = run("cce")
    predicted = model.eval()(data.inputs).argmax(1)
    recalls = [(predicted[data.labels == label] == label).double().mean() for label in (0, 1)]
    accuracy, _ = evaluate(model, data, fabric=open_fabric("cpu"), balanced=True)
    assert accuracy == pytest.approx(float(sum(recalls) / 2))
    assert accuracy != pytest.approx(evaluate(model, data, fabric=open_fabric("cpu"))[0])


def test_the_best_epoch_goes_by_the_balanced_accuracy():
    validation = blobs(20, "validation")
    validation = validation.take(torch.cat([(validation.labels == 0).nonzero()[:2, 0], torch.arange(10)]))
    splits = blobs(30, "train"), validation, None
    _, result = run("cce", splits=splits, balanced=True)
    accuracies = [metrics.validation_accuracy for metrics in result.history]
    assert result.best_epoch == accuracies.index(max(accuracies)) + 1
    assert accuracies != [metrics.validation_accuracy for metrics in run("cce", splits=splits)[1].history]
