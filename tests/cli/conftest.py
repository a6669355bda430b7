import sys
from pathlib import Path

import pytest

from labelnoise.cli import main

sys.path.insert(0, str(Path(__file__).parents[1] / "datasets"))  # the makers of tiny data files


@pytest.fixture
def invoke(monkeypatch, capsys):
    """Run ``labelnoise ...`` in this process; returns exit code, output and errors."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["labelnoise", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return ended.value.code or 0, captured.out, captured.err

    return run
