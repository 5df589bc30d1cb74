"""Fully convolutional networks: photos in, score maps and labels out.

    from explainer.fcn.photo import decode
    from explainer.fcn.segmenter import Segmenter

    result = Segmenter.load()(decode(open("cat.jpg", "rb").read()).pixels)
    result.labels[8]  # FCN-8s, (height, width) uint8

Modules are imported one by one, since most of them cost the import of torch.
"""
