import hashlib
import sys

import pytest

from labelnoise._plugin import is_plugin, load_plugin


def test_a_name_in_a_file_is_found_with_the_hash_of_its_source(tmp_path, monkeypatch):
    path = tmp_path / "mine.py"
    path.write_text("answer = 42\n")
    for source in (path, "mine.py"):
        monkeypatch.chdir(tmp_path)
        found = load_plugin(f"{source}:answer")
        assert found.value == 42
        assert found.sha256 == hashlib.sha256(b"answer = 42\n").hexdigest()
    path.write_text("answer = 43\n")
    assert load_plugin(f"{path}:answer").value == 43


def test_a_file_may_hold_what_looks_for_its_module_and_hides_no_other(tmp_path):
    known = sys.modules["hashlib"]
    imports = "from __future__ import annotations\nfrom dataclasses import dataclass\n"
    (tmp_path / "hashlib.py").write_text(f"{imports}@dataclass\nclass Answer:\n    n: int = 42\n")
    assert load_plugin(f"{tmp_path / 'hashlib.py'}:Answer").value().n == 42
    assert sys.modules["hashlib"] is known


def test_a_module_is_imported_by_its_name(tmp_path, monkeypatch):
    (tmp_path / "labelnoise_test_module.py").write_text("answer = 42\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert load_plugin("labelnoise_test_module:answer").value == 42


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("answer = (", r"mine.py cannot be imported: SyntaxError"),
        ("1 / 0", "cannot be imported: ZeroDivisionError"),
        ("import labelnoise_that_is_not_there", "cannot be imported: ModuleNotFoundError"),
        ("raise ValueError('two\\nlines')", "cannot be imported: ValueError: two lines"),
        ("raise SystemExit('done')", "cannot be imported: SystemExit: done"),
        ("other = 1", "must define 'answer', which it does not"),
    ],
)
def test_code_that_does_not_work_is_one_line(tmp_path, source, message):
    (tmp_path / "mine.py").write_text(source)
    with pytest.raises(ValueError, match=message) as caught:
        load_plugin(f"{tmp_path / 'mine.py'}:answer")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["nowhere.py:answer", "labelnoise_that_is_not_there:answer", ":answer", "sys:path"])
def test_a_source_that_is_not_there_is_refused(name):
    assert is_plugin(name)
    with pytest.raises(ValueError, match=r"cannot be imported|with a source file"):
        load_plugin(name)
