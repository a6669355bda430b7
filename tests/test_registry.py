import pytest

from labelnoise import _registry


class TruncatedGCELoss:
    def __init__(self, q=0.7):
        self.q = q


def test_classes_are_registered_under_the_words_of_their_names():
    namespace = {"TruncatedGCELoss": TruncatedGCELoss, "helper": len}
    registry = _registry.exported_classes(namespace, ["TruncatedGCELoss", "helper", "not_defined_yet"], suffix="Loss")
    assert registry == {"truncated_gce": TruncatedGCELoss}
    assert _registry.build("loss", registry, "truncated_gce", {"q": 0.5}).q == 0.5


@pytest.mark.parametrize(
    ("name", "message"),
    [("alpah", "unknown thing 'alpah'; did you mean 'alpha'"), ("zzz", r"unknown thing 'zzz' \(one of: alpha, beta\)")],
)
def test_unknown_names_list_what_there_is(name, message):
    with pytest.raises(ValueError, match=message):
        _registry.check_name("thing", name, ["beta", "alpha"])
