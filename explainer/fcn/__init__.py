"""Fully convolutional networks: photos in, score maps and labels out.

    from explainer.fcn.photo import decode
    from explainer.fcn.segmenter import Segmenter

    result = Segmenter.load()(decode(open("cat.jpg", "rb").read()).pixels)
    result.labels[8]  # FCN-8s, (height, width) uint8

Modules are imported one by one, since most of them cost the import of torch.
"""

import os

# PyTorch's threads wait for each other by spinning. On a machine that does anything else besides,
# they spin for a thread that is not running: a pass on two threads took twice as long as on one.
# So they soon sleep; on an idle machine that costs nothing. Read when PyTorch is first loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
