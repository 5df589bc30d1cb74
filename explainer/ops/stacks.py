"""Well-known networks as stacks of layers, for their receptive fields.

Along one axis, first layer first; of parallel branches the one that sees most. Pointwise layers
(1×1) see nothing new and are left out, but for the last of the context module.
"""

from explainer.ops.receptive import Layer


def _repeated(count: int, layer: Layer) -> tuple[Layer, ...]:
    return (layer,) * count


ALEXNET = (
    Layer(11, 4, name="conv1"),
    Layer(3, 2, name="pool1"),
    Layer(5, padding=2, name="conv2"),
    Layer(3, 2, name="pool2"),
    Layer(3, padding=1, name="conv3"),
    Layer(3, padding=1, name="conv4"),
    Layer(3, padding=1, name="conv5"),
    Layer(3, 2, name="pool5"),
    Layer(6, name="fc6"),
)
"""Krizhevsky et al. (2012), fc6 as a convolution: field 355, stride 32."""

VGG16 = (
    *(
        layer
        for block, convs in enumerate((2, 2, 3, 3, 3), 1)
        for layer in (
            *(Layer(3, padding=1, name=f"conv{block}_{n}") for n in range(1, convs + 1)),
            Layer(2, 2, name=f"pool{block}"),
        )
    ),
    Layer(7, name="fc6"),
)
"""Simonyan & Zisserman (2015), fc6 as a convolution: field 404, stride 32."""

FCN_VGG16 = (Layer(3, padding=100, name="conv1_1"), *VGG16[1:])
"""Long et al. (2015): VGG16 with padding 100 in the first layer."""

GOOGLENET = (
    Layer(7, 2, 3, name="conv1"),
    Layer(3, 2, name="pool1"),
    Layer(3, padding=1, name="conv2"),
    Layer(3, 2, name="pool2"),
    *(Layer(5, padding=2, name=f"inception 3{part}") for part in "ab"),
    Layer(3, 2, name="pool3"),
    *(Layer(5, padding=2, name=f"inception 4{part}") for part in "abcde"),
    Layer(3, 2, name="pool4"),
    *(Layer(5, padding=2, name=f"inception 5{part}") for part in "ab"),
    Layer(7, name="pool5"),
)
"""Szegedy et al. (2015), by the 5×5 branches: field 907; without pool5, as in the FCN, 715."""

RESNET50 = (
    Layer(7, 2, 3, name="conv1"),
    Layer(3, 2, 1, name="pool1"),
    *_repeated(3, Layer(3, padding=1, name="conv2_x")),
    *(
        layer
        for stage, blocks in ((3, 4), (4, 6), (5, 3))
        for layer in (
            Layer(3, 2, 1, name=f"conv{stage}_x"),
            *_repeated(blocks - 1, Layer(3, padding=1, name=f"conv{stage}_x")),
        )
    ),
)
"""He et al. (2016) with the strides in the 3×3 layers, as torchvision has it: field 427.

(With the strides in the 1×1 layers before them, as first published: 483.)
"""

MOBILENETV2 = (
    Layer(3, 2, 1, name="conv1"),
    *(
        Layer(3, stride if block == 0 else 1, 1, name=f"bottleneck {stage}")
        for stage, (blocks, stride) in enumerate(
            ((1, 1), (2, 2), (3, 2), (4, 2), (3, 1), (3, 2), (1, 1)), 1
        )
        for block in range(blocks)
    ),
)
"""Sandler et al. (2018), Table 2: field 491, stride 32."""

CONTEXT_MODULE = (
    *(
        Layer(3, padding=dilation, dilation=dilation, name=f"layer {place}")
        for place, dilation in enumerate((1, 1, 2, 4, 8, 16, 1), 1)
    ),
    Layer(1, name="layer 8"),
)
"""Yu & Koltun, "Multi-scale context aggregation by dilated convolutions" (2016), Table 1.

Every layer but the last is followed by a truncation, max(·, 0).
"""

CONTEXT_WIDTHS = {"basic": (1,) * 9, "large": (1, 2, 2, 4, 8, 16, 32, 32, 1)}
"""Channels before and after every layer of the context module, in multiples of C."""

STACKS = {
    "AlexNet": ALEXNET,
    "VGG16": VGG16,
    "FCN-VGG16": FCN_VGG16,
    "GoogLeNet": GOOGLENET,
    "ResNet-50": RESNET50,
    "MobileNetV2": MOBILENETV2,
    "context module": CONTEXT_MODULE,
}
"""All of them, by name."""
