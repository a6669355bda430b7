import json

import pytest
import torch
from noisy_data import KINDS, own_code, read

from labelnoise.fitting import SavedModel, build_network, load_model
from labelnoise.fitting.transform import fit_transform
from labelnoise.runs import Part


def saved(data, folder, *, name="mlp"):
    own, columns, size = read(data)
    transform = fit_transform(own, columns, torch.arange(len(own.ids)), image_size=size, encoder=None)
    inputs = transform.transform(own.inputs)
    shape = tuple(inputs.shape[1:])
    part = Part(name="lenet" if len(shape) == 3 and name == "mlp" else name)
    network = build_network(part, shape, 2, images=inputs if own.kind == "image" else None, seed=3)
    model = SavedModel(own.kind, columns, ("cat", "dog"), shape, part, transform, network)
    folder.mkdir()
    model.save(folder)
    return model, own


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_that_is_loaded_says_what_the_saved_one_says(tmp_path, kind):
    model, own = saved(KINDS[kind](tmp_path), tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    assert loaded.class_names == ("cat", "dog")
    probabilities = loaded.predict(own)
    assert torch.equal(probabilities, model.predict(own))
    assert torch.allclose(probabilities.sum(1), torch.ones(len(own.ids)))
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["config.json", "model.safetensors"]
    assert str(tmp_path) not in (tmp_path / "model" / "config.json").read_text()


def test_many_rows_are_predicted_in_pieces_like_few(tmp_path, monkeypatch):
    model, own = saved(KINDS["table"](tmp_path), tmp_path / "model")
    whole = model.predict(own)
    monkeypatch.setattr("labelnoise.fitting.model._ROWS_AT_ONCE", 7)
    assert torch.allclose(model.predict(own), whole, atol=1e-6)


def test_the_users_own_network_runs_only_when_it_is_named_again(tmp_path):
    name = f"{own_code(tmp_path)}:linear"
    model, own = saved(KINDS["npz features"](tmp_path), tmp_path / "model", name=name)
    own_code(tmp_path).rename(tmp_path / "moved.py")
    with pytest.raises(ValueError, match="is your own; give --model"):
        load_model(tmp_path / "model")
    again = load_model(tmp_path / "model", model=f"{tmp_path / 'moved.py'}:linear")
    assert torch.equal(again.predict(own), model.predict(own))
    with pytest.raises(ValueError, match="holds weights of another network"):
        load_model(tmp_path / "model", model="mlp")


def test_data_of_another_kind_are_refused(tmp_path):
    model, _ = saved(KINDS["npz features"](tmp_path), tmp_path / "model")
    with pytest.raises(ValueError, match="must be of the kind features, as in training, got text"):
        model.predict(read(KINDS["text"](tmp_path))[0])


def test_a_damaged_or_missing_model_is_one_line(tmp_path):
    with pytest.raises(ValueError, match="holds no fitted model"):
        load_model(tmp_path / "nowhere")
    saved(KINDS["table"](tmp_path), tmp_path / "model")
    config = tmp_path / "model" / "config.json"
    whole = json.loads(config.read_text())
    damages = [b"", b"[]", b"{", b"\xff", *(json.dumps({**whole, key: None}).encode() for key in whole)]
    for damage in damages:
        config.write_bytes(damage)
        with pytest.raises(ValueError, match="holds a damaged model"):
            load_model(tmp_path / "model")
    config.write_text(json.dumps(whole))
    for content in (b"", b"no tensors at all"):
        (tmp_path / "model" / "model.safetensors").write_bytes(content)
        with pytest.raises(ValueError, match="holds a damaged model"):
            load_model(tmp_path / "model")
