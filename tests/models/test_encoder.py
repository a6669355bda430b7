import importlib.util
import json
import pickle
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from labelnoise.models.encoder import TextEncoder
from labelnoise.objectives import build
from labelnoise.training import Batch, build_schedule, child_generator, open_fabric, predict, seeded, train

PAD, CLS, SEP = 0, 2, 3
IDS = torch.tensor([[CLS, 5, 9, 6, 7, SEP, PAD, PAD], [CLS, 8, SEP, PAD, PAD, PAD, PAD, PAD]])
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
needs_transformers = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="transformers, of labelnoise[hf], is not installed"
)


@pytest.fixture
def folder(tmp_path):
    """As of a BERT with random weights, pretrained without a pooler, with 15 words and 16 positions."""
    from transformers import BertConfig, BertModel

    folder = tmp_path / "bert"
    config = BertConfig(vocab_size=15, max_position_embeddings=16, pad_token_id=PAD, **SIZES)
    with seeded(0, "pretrained"):
        weights = BertModel(config, add_pooling_layer=False).state_dict()
    folder.mkdir()
    config.save_pretrained(folder)
    save_file({name: 5 * value for name, value in weights.items()}, folder / "model.safetensors")
    return folder


def load(folder, **settings):
    with seeded(0, "weights"):
        return TextEncoder.load(folder, **{"num_classes": 3, "pad_id": PAD, **settings})


def change(path, **settings):
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


@needs_transformers
class TestForward:
    def test_logits_are_those_of_each_text_alone_without_padding(self, folder):
        encoder = load(folder).double().eval()
        logits = encoder(IDS)
        alone = [encoder.network(ids[ids != PAD][None]).logits for ids in IDS]
        # Values of up to 15 go through some hundred float64 roundings.
        torch.testing.assert_close(logits, torch.cat(alone), rtol=0, atol=1e-12)
        assert logits.shape == (2, 3)
        assert not torch.allclose(logits[0], logits[1], atol=1e-3)

    def test_columns_that_are_padding_throughout_cost_nothing(self, folder):
        encoder = load(folder).eval()
        lengths = []
        encoder.network.register_forward_pre_hook(
            lambda _, args, inputs: lengths.append(inputs["input_ids"].shape[1]), with_kwargs=True
        )
        assert torch.equal(encoder(IDS), encoder(IDS[:, :6]))
        assert torch.equal(encoder(IDS[1:]), encoder(IDS[1:, :3]))
        assert lengths == [6, 6, 3, 3]

    def test_a_text_without_tokens_has_finite_logits(self, folder):
        assert load(folder).eval()(torch.full((2, 4), PAD)).isfinite().all()

    def test_dropout_is_active_in_training_only(self, folder):
        encoder = load(folder)
        assert all(part.training for part in encoder.modules())
        assert not torch.equal(encoder(IDS), encoder(IDS))
        encoder.eval()
        assert torch.equal(encoder(IDS), encoder(IDS))

    def test_texts_longer_than_the_network_has_positions_are_refused(self, folder):
        encoder = load(folder).eval()
        assert encoder(torch.full((1, 16), 5)).isfinite().all()
        assert encoder(torch.cat([torch.full((1, 16), 5), torch.full((1, 9), PAD)], dim=1)).isfinite().all()
        with pytest.raises(ValueError, match=r"texts must have at most 16 tokens for this network, got 17$"):
            encoder(torch.full((1, 17), 5))


@needs_transformers
class TestLoad:
    def test_the_weights_are_the_folders_and_the_rest_is_drawn_from_the_global_generator(self, folder):
        encoders = []
        for seed in (0, 0, 1):
            with seeded(seed, "weights"):
                encoders.append(TextEncoder.load(folder, num_classes=3, pad_id=PAD).state_dict())
        stored = {f"network.bert.{name}": value for name, value in load_file(folder / "model.safetensors").items()}
        first, same, other = encoders
        new = first.keys() - stored.keys()
        assert new == {
            f"network.{layer}.{part}" for layer in ("bert.pooler.dense", "classifier") for part in ("weight", "bias")
        }
        assert all(torch.equal(first[name], value) for name, value in stored.items())
        assert all(torch.equal(first[name], same[name]) for name in first)
        assert not torch.equal(first["network.classifier.weight"], other["network.classifier.weight"])
        assert first["network.classifier.weight"].std() > 0.01

    def test_a_head_for_other_classes_is_replaced(self, folder):
        weights = load_file(folder / "model.safetensors")
        weights = {f"bert.{name}": value for name, value in weights.items()}
        head = {"classifier.weight": torch.ones(7, 32), "classifier.bias": torch.ones(7)}
        save_file(weights | head, folder / "model.safetensors")
        change(folder / "config.json", id2label={str(row): f"{row} stars" for row in range(7)}, return_dict=False)
        encoder = load(folder, num_classes=3).eval()
        assert encoder(IDS).shape == (2, 3)
        assert encoder(IDS).dtype == torch.float32
        assert torch.equal(encoder.network.classifier.bias, torch.zeros(3))

    def test_weights_of_half_precision_come_as_float32(self, folder):
        weights = {name: value.half() for name, value in load_file(folder / "model.safetensors").items()}
        save_file(weights, folder / "model.safetensors")
        change(folder / "config.json", dtype="float16")
        encoders = load(folder), TextEncoder.from_config(folder, num_classes=3, pad_id=PAD)
        for encoder in encoders:
            assert {value.dtype for value in encoder.parameters()} == {torch.float32}
        name = "embeddings.word_embeddings.weight"
        assert torch.equal(encoders[0].state_dict()[f"network.bert.{name}"], weights[name].float())

    def test_weights_may_lie_in_several_files(self, folder):
        whole = load(folder).state_dict()
        weights = load_file(folder / "model.safetensors")
        (folder / "model.safetensors").unlink()
        places = {name: f"part-{row % 2}.safetensors" for row, name in enumerate(weights)}
        for part in set(places.values()):
            save_file({name: weights[name] for name, place in places.items() if place == part}, folder / part)
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
        parts = load(folder).state_dict()
        assert all(torch.equal(parts[f"network.bert.{name}"], whole[f"network.bert.{name}"]) for name in weights)

    def test_what_a_config_says_about_attention_is_not_followed(self, folder):
        expected = load(folder).network.config._attn_implementation
        change(folder / "config.json", attn_implementation="somebody/a-kernel-to-download")
        assert load(folder).network.config._attn_implementation == expected
        assert TextEncoder.from_config(folder, num_classes=3, pad_id=PAD).eval()(IDS).shape == (2, 3)


@needs_transformers
class TestSave:
    def test_config_and_state_dict_give_the_same_logits(self, folder, tmp_path):
        encoder = load(folder).eval()
        encoder.save_config(tmp_path / "saved")
        again = TextEncoder.from_config(tmp_path / "saved", num_classes=3, pad_id=PAD)
        assert all(part.training for part in again.modules())
        again.load_state_dict(encoder.state_dict())
        assert torch.equal(again.eval()(IDS), encoder(IDS))
        (config,) = (tmp_path / "saved").iterdir()
        assert str(tmp_path) not in config.read_text()


@needs_transformers
class TestSharedWeights:
    @pytest.fixture
    def bart(self, tmp_path):
        """Encoder and decoder share their embeddings."""
        from transformers import BartConfig, BartModel

        sizes = {"encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
        ids = {"pad_token_id": PAD, "bos_token_id": CLS, "eos_token_id": SEP, "decoder_start_token_id": SEP}
        config = BartConfig(vocab_size=15, d_model=32, max_position_embeddings=16, **sizes, **ids)
        BartModel(config).save_pretrained(tmp_path / "bart")
        return tmp_path / "bart"

    def test_they_stand_once_in_the_state_and_stay_shared(self, bart, tmp_path):
        encoder = load(bart).eval()
        state = encoder.state_dict()
        assert len({value.data_ptr() for value in state.values()}) == len(state)
        again = TextEncoder.from_config(bart, num_classes=3, pad_id=PAD).eval()
        save_file(state, tmp_path / "state.safetensors")  # which takes no tensors that share memory
        again.load_state_dict(load_file(tmp_path / "state.safetensors"))
        assert torch.equal(again(IDS), encoder(IDS))
        model = again.network.model
        assert model.encoder.embed_tokens.weight is model.decoder.embed_tokens.weight
        copied = {name: value.clone() for name, value in state.items()}
        found = predict(again, copied, IDS, fabric=open_fabric("cpu"))
        torch.testing.assert_close(found, encoder(IDS).softmax(1))

    def test_a_state_without_them_is_refused(self, bart):
        encoder = load(bart)
        state = encoder.state_dict()
        del state["network.model.shared.weight"]
        with pytest.raises(RuntimeError, match=r"Missing key.*network\.model\.shared\.weight"):
            encoder.load_state_dict(state)


@needs_transformers
class TestRefusals:
    def refused(self, folder, message):
        for make in (TextEncoder.load, TextEncoder.from_config):
            with pytest.raises(ValueError, match=message) as caught:
                make(folder, num_classes=3, pad_id=PAD)
            assert "\n" not in str(caught.value)

    def weights_refused(self, folder, message):
        with pytest.raises(ValueError, match=message) as caught:
            load(folder)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("name", ["nothing", "bert-base-uncased"])
    def test_a_folder_that_is_none(self, tmp_path, monkeypatch, name):
        monkeypatch.chdir(tmp_path)
        self.refused(name, f"folder must be one with config.json, got {name}: No such file or directory$")

    def test_a_folder_without_config(self, folder):
        (folder / "config.json").unlink()
        self.refused(folder, "folder must be one with config.json, got .*bert: No such file or directory$")

    @pytest.mark.parametrize("content", ["", "{", "7", "\xff"])
    def test_a_config_that_is_no_json(self, folder, content):
        (folder / "config.json").write_text(content, encoding="latin-1")
        self.refused(folder, "config.json must be JSON, got a file that is not: ")

    @pytest.mark.parametrize("content", ["[]", "{}", '{"model_type": "unheard-of"}', '{"model_type": "vit"}'])
    def test_a_config_of_no_text_encoder(self, folder, content):
        (folder / "config.json").write_text(content)
        self.refused(folder, "bert holds no text encoder that can be used: ")

    def test_a_config_that_asks_for_code_is_not_obeyed(self, folder, tmp_path):
        ran = tmp_path / "ran"
        (folder / "own.py").write_text(f"open({str(ran)!r}, 'w').close()\nclass Own: pass\n")
        change(folder / "config.json", auto_map={"AutoModelForSequenceClassification": "own.Own"})
        self.refused(folder, r"config.json asks for code to be run \(auto_map\), which is never done$")
        assert not ran.exists()

    def test_a_padding_id_without_an_embedding(self, folder):
        with pytest.raises(ValueError, match="bert holds no text encoder that can be used: AssertionError: "):
            load(folder, pad_id=15)

    def test_a_folder_without_weights(self, folder):
        (folder / "model.safetensors").unlink()
        self.weights_refused(folder, "bert must hold its weights in model.safetensors, got none; pickles")

    def test_weights_in_a_pickle(self, folder):
        torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
        (folder / "model.safetensors").unlink()
        self.weights_refused(
            folder, "bert must hold its weights in model.safetensors, got pytorch_model.bin; pickles are never read$"
        )

    @pytest.mark.parametrize("content", [b"", b"not safetensors", pickle.dumps({})])
    def test_damaged_weights(self, folder, content):
        (folder / "model.safetensors").write_bytes(content)
        self.weights_refused(folder, "bert holds damaged weights: SafetensorError: ")

    @pytest.mark.parametrize("content", ["", "[]", "{}", '{"weight_map": {"a": "gone.safetensors"}}'])
    def test_a_damaged_index_of_weights(self, folder, content):
        (folder / "model.safetensors").unlink()
        (folder / "model.safetensors.index.json").write_text(content)
        self.weights_refused(folder, "bert holds damaged weights: ")

    def test_weights_that_are_not_those_of_the_config(self, folder):
        weights = load_file(folder / "model.safetensors")
        kept = {name: value for name, value in weights.items() if "layer.1." not in name}
        save_file(kept, folder / "model.safetensors")
        message = "bert must hold the weights of its config.json, got none that fit bert."
        self.weights_refused(folder, f"{message}encoder.layer.1.attention.output.LayerNorm.bias$")
        words = weights["embeddings.word_embeddings.weight"]
        save_file(weights | {"embeddings.word_embeddings.weight": words[:9].clone()}, folder / "model.safetensors")
        self.weights_refused(folder, f"{message}embeddings.word_embeddings.weight$")

    def test_no_file_is_unpickled_whatever_config_and_index_name(self, folder, monkeypatch):
        monkeypatch.setattr(torch, "load", lambda *args, **kwargs: pytest.fail("a file is unpickled"))
        torch.save({"classifier.bias": torch.ones(3)}, folder / "adapter_model.bin")
        change(folder / "config.json", transformers_weights="adapter_model.bin")
        assert torch.equal(load(folder).network.classifier.bias, torch.zeros(3))
        index = {"metadata": {}, "weight_map": {"classifier.bias": "adapter_model.bin"}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        (folder / "model.safetensors").unlink()
        self.weights_refused(folder, "bert holds damaged weights: SafetensorError: ")


@pytest.mark.parametrize("make", [TextEncoder.load, TextEncoder.from_config])
def test_without_transformers_the_way_to_install_it_is_named(tmp_path, monkeypatch, make):
    (tmp_path / "config.json").write_text("{}")
    save_file({}, tmp_path / "model.safetensors")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ValueError, match=r"a text encoder needs transformers: pip install 'labelnoise\[hf\]'$"):
        make(tmp_path, num_classes=3, pad_id=PAD)


QUIET = """
import logging, socket, sys, warnings
from pathlib import Path

def refuse(*args, **kwargs):
    print("called", args)
    raise OSError("no network")

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
import labelnoise
from labelnoise.models.encoder import TextEncoder
assert not {"transformers", "tokenizers"} & {*sys.modules}
import torch

warnings.simplefilter("always")
filters = list(warnings.filters)
encoder = TextEncoder.load(sys.argv[1], num_classes=3, pad_id=0)
encoder(torch.tensor([[2, 5, 3, 0, 0]]))
encoder.save_config(Path(sys.argv[2]))
TextEncoder.from_config(sys.argv[2], num_classes=3, pad_id=0)
assert logging.root.manager.disable == logging.NOTSET
assert warnings.filters == filters
from transformers.utils.logging import is_progress_bar_enabled
assert is_progress_bar_enabled()
"""


@needs_transformers
def test_nothing_is_told_and_nobody_is_called(folder, tmp_path):
    command = [sys.executable, "-c", QUIET, str(folder), str(tmp_path / "saved")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@needs_transformers
def test_fine_tuning_learns_which_of_two_words_a_text_has(folder, tmp_path):
    generator = child_generator(0, "texts")
    labels = torch.randint(2, (400,), generator=generator)
    lengths = torch.randint(2, 8, (400,), generator=generator)
    ids = torch.full((400, 12), PAD)
    for row, (label, length) in enumerate(zip(labels, lengths, strict=True)):
        words = torch.randint(7, 15, (int(length),), generator=generator)  # 5 and 6 are the words that matter
        words[torch.randint(int(length), (), generator=generator)] = 5 + label
        ids[row, : length + 2] = torch.cat([torch.tensor([CLS]), words, torch.tensor([SEP])])
    data = Batch(ids, labels, torch.arange(400))
    encoder = load(folder, num_classes=2)
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=1e-3)
    with seeded(0, "dropout"):
        result = train(
            encoder,
            build("gce", num_samples=300),
            train=data.take(torch.arange(300)),
            validation=data.take(torch.arange(300, 400)),
            fabric=open_fabric("cpu"),
            optimizer=optimizer,
            schedule=build_schedule("cosine", optimizer, epochs=6, steps_per_epoch=19),
            epochs=6,
            batch_size=16,
            generator=child_generator(0, "order"),
        )
    assert result.history[-1].validation_accuracy > 0.95
    encoder.save_config(tmp_path / "saved")
    save_file(encoder.state_dict(), tmp_path / "saved" / "model.safetensors")
    again = TextEncoder.from_config(tmp_path / "saved", num_classes=2, pad_id=PAD)
    again.load_state_dict(load_file(tmp_path / "saved" / "model.safetensors"))
    assert torch.equal(again.eval()(ids), encoder.eval()(ids))
