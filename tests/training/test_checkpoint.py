import os
import resource

import pytest
import torch

from labelnoise.training import load_checkpoint, save_checkpoint


def test_a_state_comes_back(tmp_path):
    state = {"weights": torch.arange(3.0), "history": [(1, 0.5)], "nested": {"rate": 0.1}}
    save_checkpoint(tmp_path / "checkpoint.pt", state)
    loaded = load_checkpoint(tmp_path / "checkpoint.pt")
    assert torch.equal(loaded.pop("weights"), state.pop("weights"))
    assert loaded == state


class Hostile:
    def __reduce__(self):
        return os.mkdir, ("hacked",)


def test_a_pickle_that_would_run_code_is_refused_unrun(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"weights": Hostile()}, "checkpoint.pt")
    with pytest.raises(ValueError, match="cannot be read"):
        load_checkpoint(tmp_path / "checkpoint.pt")
    assert not (tmp_path / "hacked").exists()


@pytest.mark.parametrize("content", [b"", b"no checkpoint", "half", "list"])
def test_a_damaged_file_is_named(content, tmp_path):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"weights": torch.zeros(1000)})
    if content == "list":
        torch.save([torch.zeros(3)], path)
    else:
        path.write_bytes(path.read_bytes()[:1000] if content == "half" else content)
    with pytest.raises(ValueError, match=r"checkpoint .*checkpoint.pt cannot be read .*; delete it to start the run"):
        load_checkpoint(path)


def test_a_full_disk_is_told_of_and_leaves_the_old_checkpoint(tmp_path):
    save_checkpoint(tmp_path / "c.pt", {"epoch": 1})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))  # files larger than that cannot be written
    try:
        with pytest.raises(OSError, match="File too large"):
            save_checkpoint(tmp_path / "c.pt", {"epoch": torch.zeros(10_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert load_checkpoint(tmp_path / "c.pt") == {"epoch": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["c.pt"]
