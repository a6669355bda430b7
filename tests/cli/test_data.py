import functools
import hashlib
import subprocess
import sys

import pytest
from dataset_files import write_fashion
from local_server import refusing, serving

from labelnoise import datasets


@pytest.fixture
def command(monkeypatch, invoke):
    """Runs ``labelnoise data ...``."""
    monkeypatch.delenv("LABELNOISE_DATA", raising=False)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("COLUMNS", "300")
    return functools.partial(invoke, "data")


@pytest.fixture
def serve_fashion(tmp_path, monkeypatch):
    """Make ``address`` the official one of a tiny Fashion-MNIST, and return its pages."""
    write_fashion(tmp_path / "published", train=20, test=10)
    pages = {f"/{path.name}": path.read_bytes() for path in (tmp_path / "published" / "fashion-mnist").iterdir()}

    def serve(address):
        source = datasets.SOURCES["fashion-mnist"]
        changed = source._replace(
            md5={name[1:]: hashlib.md5(body).hexdigest() for name, body in pages.items()},
            downloads=tuple(part._replace(url=f"{address}/{part.name}") for part in source.downloads),
            expected=source.expected._replace(train=20, test=10),
        )
        monkeypatch.setitem(datasets.SOURCES, "fashion-mnist", changed)
        return pages

    serve("unset")
    serve.pages = pages
    return serve


def test_fetch_verify_and_list(command, tmp_path, serve_fashion, monkeypatch):
    root = tmp_path / "root"
    with serving(serve_fashion.pages) as (address, _):
        serve_fashion(address)
        code, output, _ = command("fetch", "fashion-mnist", "--data-dir", root)
    assert code == 0
    assert output.splitlines()[0] == str(root / "fashion-mnist" / "train-images-idx3-ubyte.gz")

    monkeypatch.setenv("LABELNOISE_DATA", str(root))
    code, output, _ = command("verify", "fashion-mnist")
    assert code == 0
    assert output.count(": the official file\n") == 4
    assert "fashion-mnist: 20 + 10 samples, 10 classes, counts and frequencies as published; 0.00% of" in output

    code, output, _ = command("list")
    assert code == 0
    rows = {line.split("│")[1].strip(): line.split("│")[3].strip() for line in output.splitlines() if "│" in line}
    assert rows["fashion-mnist"] == "found"
    assert rows["cifar10"] == "missing"
    assert rows["digits"] == "-"


def test_without_a_network_one_line_says_which_file_to_put_where(command, tmp_path, serve_fashion):
    serve_fashion(refusing())
    code, output, errors = command("fetch", "fashion-mnist", "--data-dir", tmp_path / "root")
    assert code == 2
    assert output == ""
    assert errors.count("\n") == 1
    assert errors.startswith("labelnoise: http://127.0.0.1:")
    where = tmp_path / "root" / "fashion-mnist"
    images, labels = "images-idx3-ubyte.gz", "labels-idx1-ubyte.gz"
    everything = f"train-{images}, train-{labels}, t10k-{images}, t10k-{labels}"
    put = f"get it elsewhere and put train-{images} in {where}"
    assert errors.strip().endswith(f"{put}; 4 wanted in all: {everything}")
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("verify", "fashion-mnist"),
            "labelnoise: no data folder: pass root (--data-dir on the command line) or set LAB",
        ),
        (("fetch", "cifar11"), "labelnoise: unknown data set 'cifar11'; did you mean 'cifar10"),
        (
            ("verify", "fashion-mnist", "--data-dir", "no/such/folder"),
            "labelnoise: fashion-mnist is not in no/such/folder",
        ),
        (("fetch", "digits", "--data-dir", "no/such/folder"), "labelnoise: digits has no published files"),
        (("verify",), "Missing argument"),
    ],
)
def test_what_the_user_got_wrong_is_one_line_and_exit_code_2(command, arguments, message):
    code, _, errors = command(*arguments)
    assert code == 2
    assert message in errors
    assert "Traceback" not in errors


def test_help_imports_nothing_heavy():
    probe = """
import sys
from labelnoise.cli import main
sys.argv = ["labelnoise", "data", "--help"]
try:
    main()
finally:
    heavy = {"torch", "numpy", "pyarrow", "PIL"} & set(sys.modules)
    assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "fetch" in done.stdout


def test_a_folder_may_be_called_as_it_likes(command, tmp_path):
    code, output, _ = command("list", "--data-dir", tmp_path / "[/x]")
    assert code == 0
    assert "[/x]" in output
