"""Pixel accuracy, mean accuracy, mean IU, frequency weighted IU (Long et al. 2015, section 5)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from explainer.fcn.compare import outline_band
from explainer.fcn.voc import IGNORE


@dataclass(frozen=True)
class Metrics:
    """Shares between 0 and 1; `iu` and `accuracy` by class, nan where a class never occurs."""

    pixel_accuracy: float
    mean_accuracy: float
    mean_iu: float
    frequency_weighted_iu: float
    iu: NDArray[np.float64]
    accuracy: NDArray[np.float64]


def confusion(
    truth: NDArray[np.uint8], predicted: NDArray[np.uint8], classes: int
) -> NDArray[np.int64]:
    """n[i, j], the pixels of class i predicted as j; pixels of truth 255 do not count."""
    counted = truth != IGNORE
    pairs = truth[counted].astype(np.int64) * classes + predicted[counted]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def metrics(counts: NDArray[np.int64]) -> Metrics:
    """The four measures of the paper from a confusion matrix.

    With n_ij pixels of class i predicted as j and t_i = Σ_j n_ij: Σ n_ii / Σ t_i, mean n_ii / t_i,
    mean n_ii / (t_i + Σ_j n_ji - n_ii), and the same weighted with t_i.
    """
    hits = np.diag(counts).astype(float)
    truth = counts.sum(1).astype(float)
    union = truth + counts.sum(0) - hits
    with np.errstate(invalid="ignore"):
        iu, accuracy = hits / union, hits / truth
    present = truth > 0
    return Metrics(
        float(hits.sum() / truth.sum()),
        float(accuracy[present].mean()),
        float(iu[present].mean()),
        float((truth[present] * iu[present]).sum() / truth.sum()),
        iu,
        accuracy,
    )


def boundary_band(truth: NDArray[np.uint8], width: int = 5) -> NDArray[np.bool_]:
    """The pixels at most `width` (chessboard distance) from a pixel of another class.

    Ignored pixels, which in VOC are drawn along the outlines, separate classes but are none: they
    take the class of the nearest labelled pixel before outlines are looked for.
    """
    if (truth == IGNORE).all():
        return np.zeros(truth.shape, bool)
    rows, columns = np.asarray(
        ndimage.distance_transform_edt(truth == IGNORE, return_distances=False, return_indices=True)
    )
    return outline_band(truth[rows, columns], width)
