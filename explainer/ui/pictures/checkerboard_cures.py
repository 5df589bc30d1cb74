"""Five ways to enlarge the same small photo: which of them leave a checkerboard."""

import base64
import html
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from explainer.ops import conv_input_gradient, nearest, number, pixel_shuffle
from explainer.ui import samples
from explainer.ui.pictures.checkerboard import NOISE, NOISY, State, check_photo, noisy, weights
from explainer.ui.pictures.inputs import OWN

Floats = NDArray[np.float64]

FLAT = "flat"


@dataclass(frozen=True)
class Crop:
    """Which part of a sample is shown.

    Attributes:
        code: how scikit-image names the photo.
        block: pixels along an axis that are averaged to one.
        centre: row and column of the middle, in pixels.
    """

    code: str
    block: int
    centre: tuple[int, int]


CROPS: Mapping[str, Crop] = {
    "cat": Crop("data.chelsea()", 7, (118, 215)),
    "astronaut": Crop("data.astronaut()", 7, (110, 215)),
    "coffee": Crop("data.coffee()", 9, (190, 300)),
    "rocket": Crop("data.rocket()", 9, (230, 330)),
}
PHOTOS = (*CROPS, FLAT)
FLAT_GREY = 0.5

METHODS = ("transposed", "divisible", "resize", "sub-pixel", "icnr")
"""The kernel of the page; one whose size the stride divides; nearest neighbour, then convolution;
sub-pixel convolution from a random start; the same from a start with equal kernels (ICNR)."""

WIDEST = 288
"""Pixels for which a panel has room."""

ZERO_SHARE = 0.05
"""Weights whose sum is a smaller share of their magnitudes count as summing to 0."""


def small_size(state: State) -> tuple[int, int]:
    """Rows and columns of the small photo: fewer, the more it is enlarged."""
    factor = state.stride**state.layers
    room = WIDEST // 2 if factor <= 9 else WIDEST
    width = min(48, room // factor)
    return max(1, width // 2), width


def crop_box(state: State, shape: tuple[int, int]) -> tuple[int, int, int]:
    """First row and first column of the crop, and the pixels that are averaged to one."""
    crop = CROPS[state.photo]
    corner = []
    for cells, centre, whole in zip(small_size(state), crop.centre, shape, strict=True):
        pixels = cells * crop.block
        corner.append(min(max(centre - pixels // 2, 0), whole - pixels))
    return corner[0], corner[1], crop.block


def small_photo(state: State) -> Floats:
    """The photo before it is enlarged, (3, rows, columns), between 0 and 1."""
    rows, columns = small_size(state)
    if state.photo == FLAT:
        return np.full((3, rows, columns), FLAT_GREY)
    photo = _photo(state.photo)
    top, left, block = crop_box(state, photo.shape[:2])
    part = photo[top : top + rows * block, left : left + columns * block]
    return part.reshape(rows, block, columns, block, 3).mean((1, 3)).transpose(2, 0, 1)


@lru_cache(maxsize=8)
def _photo(name: str) -> Floats:
    """A sample as (height, width, 3) between 0 and 1."""
    with Image.open(io.BytesIO(samples.read(name))) as picture:
        return np.asarray(picture.convert("RGB"), np.float64) / 255


# The five ways


def divisible_size(state: State) -> int:
    """The smallest kernel, not smaller than the page's, that the stride divides."""
    return -(-state.kernel // state.stride) * state.stride


def divisible_kernel(state: State) -> Floats:
    """A kernel of the page's kind whose size the stride divides; of edited weights, a noisy one."""
    k = divisible_size(state)
    if k == state.kernel or state.weights not in (OWN, NOISY):
        return weights(state, (k, k))
    return noisy((k, k), state.seed)


def sub_pixel_kernels(state: State, layer: int, equal: bool) -> Floats:
    """(stride², 1, k, k): a kernel for each phase, noisy; with `equal` the first one for all."""
    k = state.kernel
    kernels = noisy((state.stride**2, 1, k, k), state.seed, layer)
    return np.broadcast_to(kernels[:1], kernels.shape) if equal else kernels


def kernel_of(state: State, method: str, layer: int) -> Floats:
    """The weights of a method in a layer (from 1), such that a flat input keeps its mean.

    Where they sum to 0 that cannot be: then their magnitudes have the sum that keeps it.
    """
    s = state.stride
    kernel = {
        "transposed": lambda: weights(state, (state.kernel, state.kernel)),
        "divisible": lambda: divisible_kernel(state),
        "resize": lambda: weights(state, (state.kernel, state.kernel)),
        "sub-pixel": lambda: sub_pixel_kernels(state, layer, equal=False),
        "icnr": lambda: sub_pixel_kernels(state, layer, equal=True),
    }[method]()
    wanted = 1 if method == "resize" else s * s
    total = np.abs(kernel).sum() if sums_to_zero(kernel) else kernel.sum()
    return kernel * (wanted / total) if total else kernel


def sums_to_zero(kernel: Floats) -> bool:
    """Whether the weights of a kernel cancel, so that it keeps no brightness."""
    return bool(abs(kernel.sum()) <= ZERO_SHARE * np.abs(kernel).sum())


def enlarge(x: Floats, state: State, method: str) -> Floats:
    """All layers of a method, (…, rows, columns) to stride^layers times as many.

    Before each layer the border is repeated outwards, so that no zeros from outside darken it.
    """
    for layer in range(1, state.layers + 1):
        x = _enlarge_once(x, kernel_of(state, method, layer), state.stride, method)
    return x


def _enlarge_once(x: Floats, kernel: Floats, s: int, method: str) -> Floats:
    rows, columns = x.shape[-2:]
    k = kernel.shape[-1]
    if method in ("transposed", "divisible"):
        margin = -(-k // s)
        whole = _transposed(_repeated(x, margin, margin), kernel, s)
        start = margin * s + (k - s) // 2
        return whole[..., start : start + rows * s, start : start + columns * s]
    before, after = (k - 1) // 2, k // 2
    if method == "resize":
        large = nearest((rows, columns), (rows * s, columns * s))(x)
        return np.einsum("...ij,ij", _windows(_repeated(large, before, after), k), kernel)
    windows = _windows(_repeated(x, before, after), k)
    phases = np.einsum("...hwij,pij->...phw", windows, kernel[:, 0], optimize=True)
    return pixel_shuffle((s * s, rows, columns), s)(phases)[..., 0, :, :]


def _transposed(x: Floats, kernel: Floats, s: int) -> Floats:
    """Transposed convolution of every (rows, columns) in x, as the gradient of a convolution.

    Tap by tap: for a photo that is faster than the links of the whole map.
    """
    k = kernel.shape[-1]
    shape = tuple((n - 1) * s + k for n in x.shape[-2:])
    planes = [conv_input_gradient(shape, kernel, x[at], s) for at in np.ndindex(x.shape[:-2])]
    return np.reshape(planes, (*x.shape[:-2], *shape))


def _windows(x: Floats, k: int) -> Floats:
    """The k×k windows of every (rows, columns) in x."""
    return np.lib.stride_tricks.sliding_window_view(x, (k, k), axis=(-2, -1))


def _repeated(x: Floats, before: int, after: int) -> Floats:
    """The grid with its border repeated outwards."""
    return np.pad(x, [(0, 0)] * (x.ndim - 2) + [(before, after)] * 2, mode="edge")


def flat_response(state: State, method: str) -> Floats:
    """What a method makes of a flat input of 1; flat again where it has no checkerboard."""
    return enlarge(np.ones((4, 4)), state, method)


# The panels


@dataclass(frozen=True)
class Panel:
    """A picture with two lines below.

    Attributes:
        method: one of `METHODS`, or "photo".
        source: the picture as the source of an image; "" where it is kept back.
        pixels: its columns.
        title, note: the lines.
        flat: whether a flat input stays flat; None for the photo itself and where it is kept back.
    """

    method: str
    source: str
    pixels: int
    title: str
    note: str
    flat: bool | None


@lru_cache(maxsize=16)
def panels(state: State) -> tuple[Panel, ...]:
    """The small photo and the five enlargements of it.

    Raises:
        SettingError: it is enlarged more than there is room for.
    """
    check_photo(state)
    x = small_photo(state)
    rows, columns = small_size(state)
    k, s = state.kernel, state.stride
    other = divisible_size(state)
    titles = {
        "transposed": f"transposed {k}×{k}, stride {s}",
        "divisible": f"transposed {other}×{other}: {s} divides {other}",
        "resize": f"nearest ×{s}, then {k}×{k}",
        "sub-pixel": "sub-pixel, random start",
        "icnr": "sub-pixel, ICNR start",
    }
    word = "flat grey" if state.photo == FLAT else "the photo"
    drawn = [
        Panel("photo", _png(x), columns, f"{word}, {rows}×{columns}", "what goes in", None),
    ]
    for method in METHODS:
        if state.kept == "sums" and in_question(state, method):
            pixels = columns * s**state.layers
            drawn.append(Panel(method, "", pixels, titles[method], PREDICT, None))
            continue
        y = enlarge(x, state, method)
        response = flat_response(state, method)
        nothing = sums_to_zero(kernel_of(state, method, 1))
        flat = bool(np.ptp(response) < 1e-6)
        note = "flat stays flat" if flat else _range(response)
        if nothing:
            note = "weights sum to 0: flat is lost" if flat else "weights sum to 0, with a pattern"
            y = y + FLAT_GREY
        drawn.append(Panel(method, _png(y), y.shape[-1], titles[method], note, flat))
    return tuple(drawn)


PREDICT = "flat stays flat? Predict first"


def in_question(state: State, method: str) -> bool:
    """Whether a method is the page's own transposed convolution, of which its questions ask."""
    same = divisible_size(state) == state.kernel
    return method == "transposed" or (method == "divisible" and same)


def _range(response: Floats) -> str:
    ends = (float(response.min()), float(response.max()))
    low, high = (number(round(100 * value)) for value in ends)
    return f"flat becomes {low} … {high} %"


def _png(picture: Floats) -> str:
    pixels = np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def panels_html(shown: tuple[Panel, ...]) -> str:
    """The panels side by side, every pixel a whole number of the screen's."""
    return (
        '<div class="cures" data-role="cures">'
        + "".join(
            f'<figure data-method="{panel.method}" data-flat="{str(panel.flat).lower()}">'
            f"{_picture(panel)}"
            f"<figcaption><b>{html.escape(panel.title)}</b>"
            f"<span>{_sign(panel.flat)}{html.escape(panel.note)}</span></figcaption></figure>"
            for panel in shown
        )
        + "</div>"
    )


def _picture(panel: Panel) -> str:
    """The image of a panel, or a "?" of its size."""
    width = f'style="width: round(down, 100%, {panel.pixels}px)"'
    if not panel.source:
        return f'<div class="kept" {width}>?</div>'
    return f'<img src="{panel.source}" alt="{html.escape(panel.title)}" {width}>'


def _sign(flat: bool | None) -> str:
    return {True: "✓ ", False: "▦ ", None: ""}[flat]


# The code


def snippet(state: State) -> str:
    """The lines of PyTorch that enlarge the photo in the five ways, in `y` by name."""
    rows, columns = small_size(state)
    k, s = state.kernel, state.stride
    if state.photo == FLAT:
        photo = f"x = torch.full((3, 1, {rows}, {columns}), {FLAT_GREY}, dtype=torch.float64)"
        imports = ""
    else:
        top, left, block = crop_box(state, _photo(state.photo).shape[:2])
        bottom, right = top + rows * block, left + columns * block
        photo = (
            f"photo = torch.tensor({CROPS[state.photo].code}[{top}:{bottom}, {left}:{right}]"
            " / 255.0)\n"
            f"x = F.avg_pool2d(photo.permute(2, 0, 1)[:, None], {block})"
        )
        imports = "from skimage import data\n"
    return f"""\
import numpy as np
import torch
import torch.nn.functional as F
{imports}
{photo}
s, k, layers = {s}, {k}, {state.layers}


def array(w):
    return torch.tensor(w, dtype=torch.float64)


def scaled(w, total):  # so that a flat input keeps its mean
    sum_ = w.sum() if abs(w.sum()) > {ZERO_SHARE} * w.abs().sum() else w.abs().sum()
    return w * (total / sum_) if sum_ else w


def around(x, before, after):  # repeat the border, so that no zeros darken it
    return F.pad(x, (before, after, before, after), mode="replicate")


def transposed(x, w):
    k, margin = w.shape[-1], -(-w.shape[-1] // s)
    y = F.conv_transpose2d(around(x, margin, margin), scaled(w, s * s)[None, None], stride=s)
    start = margin * s + (k - s) // 2
    return y[..., start : start + x.shape[-2] * s, start : start + x.shape[-1] * s]


def resize(x, w):
    x = F.interpolate(x, scale_factor=s, mode="nearest")
    return F.conv2d(around(x, (k - 1) // 2, k // 2), scaled(w, 1)[None, None])


def sub_pixel(x, layer, icnr):
    noise = np.random.default_rng(({state.seed}, layer)).standard_normal((s * s, 1, k, k))
    w = array(np.round(1 + {NOISE} * noise, 2))
    w = w[:1].expand(s * s, 1, k, k) if icnr else w
    return F.pixel_shuffle(F.conv2d(around(x, (k - 1) // 2, k // 2), scaled(w, s * s)), s)


w = array({_rows(kernel_now(state))})
divisible = array({_rows(divisible_kernel(state))})
y = dict.fromkeys({list(METHODS)}, x)
for layer in range(1, layers + 1):
    y["transposed"] = transposed(y["transposed"], w)
    y["divisible"] = transposed(y["divisible"], divisible)
    y["resize"] = resize(y["resize"], w)
    y["sub-pixel"] = sub_pixel(y["sub-pixel"], layer, icnr=False)
    y["icnr"] = sub_pixel(y["icnr"], layer, icnr=True)
for name, picture in y.items():
    print(name, tuple(picture.shape[-2:]))
"""


def kernel_now(state: State) -> Floats:
    """The page's weights as a kernel of two axes."""
    return weights(state, (state.kernel, state.kernel))


def _rows(kernel: Floats) -> str:
    return np.array2string(kernel, separator=", ", threshold=10_000, max_line_width=88)
