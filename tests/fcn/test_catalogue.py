"""What the outputs of each network and mode are called."""

import pytest

from explainer.fcn.catalogue import NETWORKS, output_name

PUBLISHED = ["FCN-32s", "FCN-16s", "FCN-8s"]
ABLATED = ["FCN-8s without skips", "FCN-8s without pool3", "FCN-8s"]


@pytest.mark.parametrize(
    ("stride", "ablated", "name"),
    [
        (32, None, "FCN-32s"),
        (8, 8, "FCN-8s"),
        (16, 8, "FCN-8s without pool3"),
        (32, 8, "FCN-8s without skips"),
        (32, 16, "FCN-16s without pool4"),
        (32, 32, "FCN-32s"),
    ],
)
def test_an_output_without_skips_does_not_bear_the_name_of_a_network(stride, ablated, name):
    assert output_name(stride, ablated) == name


def test_the_names_of_every_mode():
    names = {
        (network, key): found.names(mode)
        for network, found in NETWORKS.items()
        for key, mode in found.modes.items()
    }
    assert names["small", "bundled"] == PUBLISHED, "its three heads are trained together"
    assert names["fcn-vgg16", "as-published"] == PUBLISHED
    assert names["fcn-vgg16", "skips-left-out"] == ABLATED
    assert names["fcn-vgg16", "at-once"] == ABLATED
    assert names["fcn-resnet50", "as-published"] == ["FCN-ResNet50"]
    for network in NETWORKS.values():
        for mode in network.modes.values():
            assert mode.ablation == ("ablation" in mode.says)
