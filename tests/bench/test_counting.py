import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from explainer.bench.counting import LayerCost, cost, costs, kind, multiply_adds
from explainer.fcn.network import small_fcn
from explainer.fcn.published import PublishedFCN
from explainer.fcn.resnet import FCNResNet50


def test_a_convolution_by_hand():
    layer = nn.Conv2d(4, 6, 3, stride=2, padding=1)
    found = cost(layer, x := torch.zeros(2, 4, 10, 8), layer(x))
    # Every one of 2·6·5·4 outputs adds 4·3·3 products.
    assert found.multiply_adds == 2 * 6 * 5 * 4 * 4 * 9
    assert found.bytes == 4 * (2 * 4 * 10 * 8 + 6 * 4 * 9 + 6 + 2 * 6 * 5 * 4)
    assert found.kind == "3×3"


def test_a_depthwise_convolution_reads_one_channel():
    layer = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False, dtype=torch.bfloat16)
    found = cost(layer, x := torch.zeros(1, 8, 5, 5, dtype=torch.bfloat16), layer(x))
    assert found.multiply_adds == 8 * 25 * 9
    assert found.bytes == 2 * (8 * 25 + 8 * 9 + 8 * 25)
    assert found.kind == "3×3 depthwise"
    assert kind(nn.Conv2d(8, 8, (1, 3), groups=2)) == "1×3"


def test_the_roofline_is_the_longer_of_computing_and_moving():
    layer = LayerCost("1×1", multiply_adds=500, bytes=80)
    assert layer.attainable(flops=100, bandwidth=40) == 10
    assert layer.attainable(flops=1000, bandwidth=40) == 2


def test_fcn_vgg16_costs_what_is_known():
    with torch.device("meta"):
        network = PublishedFCN("fcn-vgg16")
        found = multiply_adds(network, lambda: network(torch.empty(1, 3, 500, 500)))
    assert found / 1e9 == pytest.approx(180.9, abs=0.05)


def test_fcn_resnet50_has_the_work_of_torchvision():
    # torchvision gives 152.717 "GFLOPS" (multiply-adds) at 520×520 with the auxiliary head: 3×3
    # from 1024 to 256 channels, 1×1 to 21.
    with torch.device("meta"):
        network = FCNResNet50().eval()
        work = multiply_adds(network, lambda: network(torch.empty(1, 3, 520, 520)))
    auxiliary = (9 * 1024 * 256 + 256 * 21) * 65 * 65
    assert (work + auxiliary) / 1e9 == pytest.approx(152.717, abs=0.001)


def test_the_count_is_that_of_pytorchs_own_counter():
    network = small_fcn().eval()
    photo = torch.zeros(1, 3, 97, 65)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(photo)
    found = costs(network, lambda: network(photo))
    assert 2 * sum(layer.multiply_adds for layer in found) == counter.get_total_flops()
    assert not any(module._forward_hooks for module in network.modules())
