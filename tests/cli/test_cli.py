import importlib.metadata
import subprocess
import sys

import labelnoise

PROBE = """
import sys
from labelnoise.cli import main
sys.argv = ["labelnoise", "--help"]
try:
    main()
finally:
    heavy = {"torch", "numpy", "sklearn", "matplotlib", "lightning_fabric"} & set(sys.modules)
    assert not heavy, heavy
"""


def test_help_imports_nothing_heavy():
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "demo" in done.stdout


def test_the_package_itself_imports_nothing_heavy_and_lists_its_tasks():
    probe = "import labelnoise, sys; assert 'torch' not in sys.modules; assert callable(labelnoise.demo)"
    subprocess.run([sys.executable, "-c", probe], check=True)


def test_the_tasks_are_offered_for_completion():
    assert {"fit", "review", "study"} <= set(dir(labelnoise))


def test_an_unknown_attribute_is_an_attribute_error():
    probe = "import labelnoise; assert not hasattr(labelnoise, 'dmo')"
    subprocess.run([sys.executable, "-c", probe], check=True)


def test_the_version_is_that_of_the_installed_package(invoke):
    assert invoke("--version") == (0, f"labelnoise {importlib.metadata.version('labelnoise')}\n", "")
