"""The architecture keeps the contract of imgclf."""

from imgclf.testing import check_architecture


def test_my_net_keeps_the_contract() -> None:
    """Any size and number of classes, seeds, options, training, saving: all that imgclf asks."""
    report = check_architecture("my_net")
    assert report.passed, str(report)
