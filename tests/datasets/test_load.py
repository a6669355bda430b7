import pytest

from labelnoise import datasets


def test_every_data_set_that_is_exported_can_be_loaded_by_name():
    assert {name.replace("-", "_") for name in datasets.names()} <= set(datasets.__all__)
    assert set(datasets.SOURCES) <= set(datasets.REGISTRY)


def test_the_root_is_the_argument_or_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("LABELNOISE_DATA", raising=False)
    with pytest.raises(
        ValueError, match=r"no data folder: pass root \(--data-dir on the command line\) or set LABELNOISE"
    ):
        datasets.load("fashion-mnist")
    monkeypatch.setenv("LABELNOISE_DATA", str(tmp_path / "from the environment"))
    with pytest.raises(ValueError, match=r"fashion-mnist is not in .*from the environment"):
        datasets.load("fashion-mnist")
    with pytest.raises(ValueError, match=r"fashion-mnist is not in .*argument"):
        datasets.load("fashion-mnist", root=tmp_path / "argument")


def test_digits_need_no_root(monkeypatch):
    monkeypatch.delenv("LABELNOISE_DATA", raising=False)
    assert datasets.load("digits").name == "digits"


def test_an_unknown_setting_suggests_the_nearest(tmp_path):
    with pytest.raises(ValueError, match="unknown setting of cifar10n 'label'; did you mean 'labels'"):
        datasets.load("cifar10n", root=tmp_path, label="worst")
