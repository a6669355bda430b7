"""A pretrained text encoder as the model of a fit: a tiny BERT with random weights."""

import csv
import importlib.util
import json
import sys

import pytest
from safetensors.torch import save_file

from labelnoise.fitting import recipe
from labelnoise.tasks import fit, predict
from labelnoise.training import seeded

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="transformers, of labelnoise[hf], is not installed"
)
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "it", "purrs", "barks", "loudly", "now"]


@pytest.fixture
def encoder(tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path / "bert"
    folder.mkdir()
    tokenizer = Tokenizer(models.WordPiece({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(folder)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = BertConfig(vocab_size=len(WORDS), max_position_embeddings=16, pad_token_id=0, **sizes)
    with seeded(0, "pretrained"):
        weights = BertModel(config, add_pooling_layer=False).state_dict()
    config.save_pretrained(folder)
    save_file({name: 5 * value for name, value in weights.items()}, folder / "model.safetensors")
    return folder


@pytest.fixture
def texts(tmp_path):
    rows = [(f"it {'purrs' if row % 2 else 'barks'} {'loudly' if row % 3 else 'now'}", row % 2) for row in range(200)]
    path = tmp_path / "pets.csv"
    path.write_text("text,label\n" + "".join(f"{text},{('dog', 'cat')[label]}\n" for text, label in rows))
    return path


def test_it_is_trained_saved_and_loaded_without_its_folder(encoder, texts, tmp_path, monkeypatch):
    monkeypatch.setattr(recipe, "_ENCODER_RATE", 3e-3)  # it has nothing to forget
    out = tmp_path / "fit"
    found = fit(
        texts, label="label", text="text", model=str(encoder), loss="gce", epochs=10, folds=0, out=out, workers=1
    )
    assert found.metrics["validation_accuracy"] == 1
    suffixes = {path.suffix for path in out.rglob("*") if path.is_file() and path.name != ".lock"}
    assert suffixes <= {".json", ".safetensors", ".csv", ".html"}
    assert str(encoder) not in json.dumps(json.loads((out / "config.json").read_text()))
    encoder.rename(tmp_path / "elsewhere")
    labels = predict(out, texts, out=tmp_path / "predictions.csv").labels
    with texts.open() as file:
        assert list(labels) == [row["label"] for row in csv.DictReader(file)]


def test_rows_that_contradict_a_checked_row_are_counted_however_long_the_texts_beside_are(encoder, texts, tmp_path):
    (tmp_path / "checked.csv").write_text("text,label\nit barks now,cat\nit purrs,cat\n")  # of which 34 say dog
    told = []
    fit(
        texts, label="label", text="text", model=str(encoder), loss="gce", epochs=1, folds=0, workers=1,
        trusted=tmp_path / "checked.csv", out=tmp_path / "fit", tell=told.append,
    )  # fmt: skip
    assert any(line.startswith("34 training rows repeat a checked row's inputs with another label") for line in told)


def test_without_transformers_the_model_is_whole(encoder, texts, tmp_path, monkeypatch):
    fit(texts, label="label", text="text", model=str(encoder), loss="gce", epochs=1, folds=0, out=tmp_path / "fit")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ValueError, match=r"^a tokenizer needs transformers: pip install"):
        predict(tmp_path / "fit", texts, out=tmp_path / "predictions.csv")


def test_it_is_for_texts_only(encoder, tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("x,label\n" + "1,a\n2,b\n" * 20)
    with pytest.raises(ValueError, match="model must be a network for data of the kind table"):
        fit(table, label="label", model=str(encoder), out=tmp_path / "fit")
