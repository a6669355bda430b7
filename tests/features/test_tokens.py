import importlib.util
import json
import subprocess
import sys

import pytest
import torch

from labelnoise._types import Texts
from labelnoise.features import tokens as module
from labelnoise.features.tokens import Tokens

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "good",
    "bad",
    "film",
    "##s",
    "the",
    "very",
    "[",
    "]",
    "pad",
    "sep",
]
PAD, UNK, CLS, SEP, GOOD, BAD, FILM, S, THE, VERY = 0, 1, 2, 3, 5, 6, 7, 8, 9, 10
needs_transformers = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="transformers, of labelnoise[hf], is not installed"
)


@pytest.fixture
def folder(tmp_path):
    """As of a BERT with a vocabulary of 15."""
    from transformers import BertTokenizer

    folder = tmp_path / "bert"
    BertTokenizer(vocab={word: row for row, word in enumerate(WORDS)}).save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "vocab_size": len(WORDS)}))
    return folder


def change(path, **settings):
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


@needs_transformers
class TestTransform:
    def test_ids_are_those_of_the_vocabulary_padded_to_the_longest_text(self, folder):
        ids = Tokens(folder).transform(["the good films", "bad awful", ""])
        assert ids.dtype == torch.int64
        assert ids.tolist() == [
            [CLS, THE, GOOD, FILM, S, SEP],
            [CLS, BAD, UNK, SEP, PAD, PAD],
            [CLS, SEP, PAD, PAD, PAD, PAD],
        ]

    def test_longer_texts_are_cut_to_max_length_with_their_special_tokens(self, folder):
        ids = Tokens(folder, max_length=4).transform(["very very very very good", "good"])
        assert ids.tolist() == [[CLS, VERY, VERY, SEP], [CLS, GOOD, SEP, PAD]]
        assert Tokens(folder).transform(["very " * 500]).shape == (1, 128)

    def test_a_lower_limit_of_the_tokenizer_holds(self, folder):
        change(folder / "tokenizer_config.json", model_max_length=5)
        tokens = Tokens(folder)
        assert tokens.max_length == 5
        assert tokens.transform(["very " * 500]).tolist() == [[CLS, VERY, VERY, VERY, SEP]]

    def test_padding_is_on_the_right_whatever_the_tokenizer_says(self, folder):
        change(folder / "tokenizer_config.json", padding_side="left")
        assert Tokens(folder).transform(["good", "good film"]).tolist()[0] == [CLS, GOOD, SEP, PAD]

    def test_special_tokens_spelled_out_are_text(self, folder):
        (row,) = Tokens(folder).transform(["good [PAD] [SEP]"]).tolist()
        left, right, pad, sep = (WORDS.index(word) for word in ("[", "]", "pad", "sep"))
        assert row == [CLS, GOOD, left, pad, right, left, sep, right, SEP]

    def test_texts_do_not_depend_on_how_many_are_tokenized_at_once(self, folder, monkeypatch):
        texts = Texts(["good", "the very very bad film", "", "bad", "films films"])
        together = Tokens(folder).transform(texts)
        monkeypatch.setattr(module, "_TEXTS_AT_ONCE", 2)
        assert torch.equal(Tokens(folder).transform(texts), together)

    def test_there_is_one_column_where_there_is_no_token(self, folder):
        tokens = Tokens(folder)
        assert tokens.transform([]).shape == (0, 1)
        change(folder / "tokenizer.json", post_processor=None)
        change(folder / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")
        bare = Tokens(folder)
        assert bare.transform(["good"]).tolist() == [[GOOD]]
        ids = bare.transform(["", ""])
        assert ids.tolist() == [[PAD], [PAD]]
        assert ids.dtype == torch.int64

    def test_a_saved_tokenizer_gives_the_same_ids(self, folder, tmp_path):
        texts = ["the good films", "bad awful", "very " * 20]
        short = Tokens(folder, max_length=4)
        short.transform(texts)
        short.save(tmp_path / "saved")
        for length in (4, 128):
            again = Tokens(tmp_path / "saved", max_length=length)
            assert again.pad_id == PAD
            assert torch.equal(again.transform(texts), Tokens(folder, max_length=length).transform(texts))
        assert not [file for file in (tmp_path / "saved").iterdir() if str(tmp_path) in file.read_text()]


@needs_transformers
class TestRefusals:
    def test_a_max_length_without_room_for_text(self, folder):
        assert Tokens(folder, max_length=3).transform(["good film"]).tolist() == [[CLS, GOOD, SEP]]
        with pytest.raises(ValueError, match=r"max_length must be above 2, the special tokens of a text, got 2$"):
            Tokens(folder, max_length=2)

    def test_a_folder_with_a_config_but_no_vocabulary(self, folder):
        for file in ("tokenizer.json", "tokenizer_config.json"):
            (folder / file).unlink()
        with pytest.raises(ValueError, match=r"bert must hold a tokenizer, got a folder without tokenizer.json$"):
            Tokens(folder)

    @pytest.mark.parametrize("content", ["", "{}", '{"version": "1.0"', "[1]"])
    def test_a_damaged_tokenizer(self, folder, content):
        (folder / "tokenizer.json").write_text(content)
        with pytest.raises(ValueError, match="bert holds no tokenizer that can be used: ") as caught:
            Tokens(folder)
        assert "\n" not in str(caught.value)

    def test_an_empty_folder(self, tmp_path):
        with pytest.raises(ValueError, match="holds no tokenizer that can be used: ") as caught:
            Tokens(tmp_path)
        assert "\n" not in str(caught.value)

    def test_a_tokenizer_that_cannot_pad(self, folder):
        change(folder / "tokenizer_config.json", pad_token=None, tokenizer_class="PreTrainedTokenizerFast")
        with pytest.raises(ValueError, match=r"bert must hold a tokenizer with a padding token, got .* without$"):
            Tokens(folder)

    def test_code_of_the_folder_is_not_run(self, folder, tmp_path):
        ran = tmp_path / "ran"
        (folder / "own.py").write_text(f"open({str(ran)!r}, 'w').close()\nclass Own: pass\n")
        change(folder / "config.json", model_type="own", auto_map={"AutoConfig": "own.Own"})
        change(
            folder / "tokenizer_config.json", tokenizer_class="Own", auto_map={"AutoTokenizer": ["own.Own", "own.Own"]}
        )
        with pytest.raises(ValueError, match="bert holds no tokenizer that can be used: ") as caught:
            Tokens(folder)
        assert "\n" not in str(caught.value)
        assert not ran.exists()


@pytest.mark.parametrize("name", ["nothing", "file", "bert-base-uncased"])
def test_a_folder_that_is_none(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=f"folder must be one with a tokenizer, got {name}, which is none$"):
        Tokens(name)


def test_without_transformers_the_way_to_install_it_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ValueError, match=r"needs transformers: pip install 'labelnoise\[hf\]'$"):
        Tokens(tmp_path)


def test_transformers_is_imported_when_it_is_used_only():
    code = (
        "import sys, labelnoise, labelnoise.features.tokens; assert not {'transformers', 'tokenizers'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


QUIET = """
import logging, socket, sys, warnings
from pathlib import Path

def refuse(*args, **kwargs):
    print("called", args)
    raise OSError("no network")

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
from labelnoise.features.tokens import Tokens

warnings.simplefilter("always")
filters = list(warnings.filters)
tokens = Tokens(sys.argv[1])
tokens.transform(["very " * 500, "good"])
tokens.save(Path(sys.argv[2]))
assert logging.root.manager.disable == logging.NOTSET
assert warnings.filters == filters
"""


@needs_transformers
def test_nothing_is_told_and_nobody_is_called(folder, tmp_path):
    change(folder / "config.json", model_type="unheard-of")  # on which transformers would remark
    command = [sys.executable, "-c", QUIET, str(folder), str(tmp_path / "saved")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
