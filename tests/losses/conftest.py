import pytest

from labelnoise.losses import _chunks, _fused


@pytest.fixture
def fused(monkeypatch):
    """Every size takes the path of the large ones, in tiles and chunks so small that there are several."""
    monkeypatch.setattr(_fused, "FUSED_FROM", 1)
    monkeypatch.setattr(_fused, "_TILE", 24)
    monkeypatch.setattr(_chunks, "_CHUNK", 1)
    monkeypatch.setattr(_chunks, "_FEWEST_ROWS", 3)
    monkeypatch.setattr(_chunks, "_BLOCK", 8)


@pytest.fixture(params=["plain", "fused"])
def path(request):
    """Both ways to the same numbers."""
    if request.param == "fused":
        request.getfixturevalue("fused")
    return request.param
