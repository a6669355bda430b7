import pytest
import torch

from labelnoise.training import open_fabric, resolve_precision


@pytest.fixture
def hardware(monkeypatch):
    """Says what the machine can do."""

    def have(*, cpu=False, cuda=None):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: cpu)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda is not None)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation or cuda)

    return have


@pytest.mark.parametrize(
    ("device", "machine", "expected"),
    [
        ("cpu", {"cpu": True}, "bf16-mixed"),
        ("cpu", {"cpu": False}, "32-true"),
        ("cpu", {"cpu": False, "cuda": True}, "32-true"),
        ("cuda", {"cuda": True}, "bf16-mixed"),
        ("cuda", {"cuda": False, "cpu": True}, "32-true"),  # which emulates it
        ("auto", {"cuda": True}, "bf16-mixed"),
        ("auto", {"cuda": False, "cpu": True}, "32-true"),  # it takes the accelerator
        ("auto", {"cpu": True}, "bf16-mixed"),
        ("mps", {"cpu": True}, "32-true"),
        ("cuda", {"cpu": True}, "32-true"),  # not there: open_fabric says so
    ],
)
def test_auto_is_what_the_device_gains_by(hardware, device, machine, expected):
    hardware(**machine)
    assert resolve_precision("auto", device) == expected


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("gains", [True, False])
def test_what_was_asked_for_stays(hardware, precision, gains):
    hardware(cpu=gains)
    assert resolve_precision(precision, "cpu") == precision


@pytest.mark.usefixtures("without_shape_checks")
def test_another_precision_is_refused():
    with pytest.raises(ValueError, match="precision must be 'auto', '32-true' or 'bf16-mixed', got '8-bit'"):
        resolve_precision("8-bit", "cpu")
    with pytest.raises(ValueError, match="precision must be '32-true' or 'bf16-mixed', got '64-true'"):
        open_fabric("cpu", "64-true")


def test_switches_of_the_whole_process_stay_as_they_were():
    before = torch.get_float32_matmul_precision()
    open_fabric("cpu", "bf16-mixed")
    assert torch.get_float32_matmul_precision() == before
