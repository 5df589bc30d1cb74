"""How many cells come out: the arithmetic of PyTorch and of TensorFlow, and their rules.

Dumoulin & Visin, "A guide to convolution arithmetic for deep learning" (2016), chapters 2 to 5, and
the reference of torch.nn. A window of k taps with dilation d spans d(k−1)+1 cells.

Every function takes one number for all axes, or one for each, and gives back the same kind; all
sizes are in cells. All raise `SettingError` for settings that are impossible.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Literal

from explainer.ops.settings import Rule, Setting, SettingError, Shape, check, is_whole

Scheme = Literal["SAME", "VALID"]
Size = int | Shape


def span(kernel: int, dilation: int = 1) -> int:
    """Cells from the first to the last tap, both counted: d(k−1)+1."""
    return dilation * (kernel - 1) + 1


def conv_size(
    size: Setting, kernel: Setting, stride: Setting = 1, padding: Setting = 0, dilation: Setting = 1
) -> Size:
    """Cells after a convolution: ⌊(n + 2p − d(k−1) − 1)/s⌋ + 1.

    >>> conv_size(5, kernel=3, stride=2, padding=1)
    3
    """
    return _as_given(conv_settings, size, kernel, stride, padding, dilation)


def transposed_size(
    size: Setting,
    kernel: Setting,
    stride: Setting = 1,
    padding: Setting = 0,
    output_padding: Setting = 0,
    dilation: Setting = 1,
) -> Size:
    """Cells after a transposed convolution: (n−1)s − 2p + d(k−1) + output_padding + 1.

    >>> transposed_size(2, kernel=3, stride=2, padding=1, output_padding=1)
    4
    """
    return _as_given(transposed_settings, size, kernel, stride, padding, output_padding, dilation)


def pool_size(
    size: Setting,
    kernel: Setting,
    stride: Setting | None = None,
    padding: Setting = 0,
    dilation: Setting = 1,
    ceil_mode: bool = False,
) -> Size:
    """Cells after a pooling of PyTorch; the stride is the kernel's size if not given.

    With `ceil_mode` a last window may hang over the end, if it starts before the right padding.

    >>> pool_size(5, kernel=2), pool_size(5, kernel=2, ceil_mode=True)
    (2, 3)
    """
    stride = kernel if stride is None else stride
    settings = partial(pool_settings, ceil_mode=ceil_mode)
    return _as_given(settings, size, kernel, stride, padding, dilation)


def tf_size(
    size: Setting,
    kernel: Setting,
    stride: Setting = 1,
    dilation: Setting = 1,
    scheme: Scheme = "SAME",
) -> Size:
    """Cells after a convolution or pooling of TensorFlow: SAME ⌈n/s⌉, VALID ⌈(n − d(k−1))/s⌉."""
    return _as_given(partial(tf_settings, scheme=scheme), size, kernel, stride, dilation)


def tf_transposed_size(
    size: Setting, kernel: Setting, stride: Setting = 1, scheme: Scheme = "SAME"
) -> Size:
    """Cells after Keras's Conv2DTranspose: SAME n·s, VALID (n−1)s + max(k, s)."""
    return _as_given(partial(tf_transposed_settings, scheme=scheme), size, kernel, stride)


def same_padding(size: int, kernel: int, stride: int = 1, dilation: int = 1) -> tuple[int, int]:
    """TensorFlow's SAME padding along one axis, (before, after); the odd cell goes after.

    >>> same_padding(4, kernel=3, stride=2)
    (0, 1)
    """
    count = tf_settings((size,), kernel, stride, dilation, "SAME")["output_size"][0]
    total = max((count - 1) * stride + span(kernel, dilation) - size, 0)
    return total // 2, total - total // 2


# The rules, as data, and the settings that keep them


def _conv(here: Mapping[str, int]) -> int:
    window = span(here["kernel"], here["dilation"])
    return (here["size"] + 2 * here["padding"] - window) // here["stride"] + 1


def _transposed(here: Mapping[str, int]) -> int:
    canvas = (here["size"] - 1) * here["stride"] + span(here["kernel"], here["dilation"])
    return canvas - 2 * here["padding"] + here["output_padding"]


def _pool(here: Mapping[str, int], ceil_mode: bool) -> int:
    if not ceil_mode:
        return _conv(here)
    room = here["size"] + 2 * here["padding"] - span(here["kernel"], here["dilation"])
    count = -(-room // here["stride"]) + 1
    late = (count - 1) * here["stride"] >= here["size"] + here["padding"]
    return count - late


def _meets_a_cell(here: Mapping[str, int], ceil_mode: bool) -> bool:
    """Whether every window reads at least one cell of the input, not padding alone."""
    size, padding, dilation = here["size"], here["padding"], here["dilation"]
    end = _pool(here, ceil_mode) * here["stride"]

    def first_cell(start: int) -> int:
        """The first cell at or after cell 0 that a window's taps meet, wherever it lies."""
        taps = -(-max(padding - start, 0) // dilation)
        return start - padding + taps * dilation if taps < here["kernel"] else size

    # A window that begins on a cell reads it; of those that begin further right the last decides.
    before = range(0, min(padding, end), here["stride"])
    return all(first_cell(start) < size for start in (*before, end - here["stride"]))


CONV_RULES = (
    Rule(
        "kernel",
        "dilation·(kernel − 1) + 1 must not exceed size + 2·padding",
        lambda here: _conv(here) >= 1,
    ),
)

TRANSPOSED_RULES = (
    Rule(
        "output_padding",
        "must be smaller than stride or dilation",
        lambda here: here["output_padding"] < max(here["stride"], here["dilation"]),
    ),
    Rule(
        "padding",
        "2·padding must be less than the uncropped output, "
        "(size − 1)·stride + dilation·(kernel − 1) + 1, plus output_padding",
        lambda here: _transposed(here) >= 1,
    ),
)


def _pool_rules(ceil_mode: bool) -> tuple[Rule, ...]:
    over = " by stride or more" if ceil_mode else ""
    return (
        Rule(
            "padding",
            "must be at most half of kernel",
            lambda here: 2 * here["padding"] <= here["kernel"],
        ),
        Rule(
            "kernel",
            f"dilation·(kernel − 1) + 1 must not exceed size + 2·padding{over}",
            lambda here: _pool(here, ceil_mode) >= 1,
        ),
        Rule(
            "padding",
            "every window must reach a cell of the input, not padding alone",
            lambda here: _meets_a_cell(here, ceil_mode),
        ),
    )


Settings = dict[str, Shape]
"""The checked settings of an operation for each axis, and its `output_size`."""


def conv_settings(
    size: Sequence[int], kernel: Setting, stride: Setting, padding: Setting, dilation: Setting
) -> Settings:
    """The settings of a convolution."""
    found = check(
        CONV_RULES,
        len(size),
        size=size,
        kernel=kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
    )
    return _with_output(found, _conv)


def transposed_settings(
    size: Sequence[int],
    kernel: Setting,
    stride: Setting,
    padding: Setting,
    output_padding: Setting,
    dilation: Setting,
) -> Settings:
    """The settings of a transposed convolution."""
    found = check(
        TRANSPOSED_RULES,
        len(size),
        size=size,
        kernel=kernel,
        stride=stride,
        padding=padding,
        output_padding=output_padding,
        dilation=dilation,
    )
    return _with_output(found, _transposed)


def pool_settings(
    size: Sequence[int],
    kernel: Setting,
    stride: Setting,
    padding: Setting,
    dilation: Setting,
    ceil_mode: bool,
) -> Settings:
    """The settings of a pooling of PyTorch."""
    found = check(
        _pool_rules(ceil_mode),
        len(size),
        size=size,
        kernel=kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
    )
    return _with_output(found, partial(_pool, ceil_mode=ceil_mode))


def tf_settings(
    size: Sequence[int], kernel: Setting, stride: Setting, dilation: Setting, scheme: Scheme
) -> Settings:
    """The settings of a convolution or pooling of TensorFlow."""
    rules = _scheme_rules(scheme)
    found = check(rules, len(size), size=size, kernel=kernel, stride=stride, dilation=dilation)
    return _with_output(found, partial(_tf, scheme=scheme))


def tf_transposed_settings(
    size: Sequence[int], kernel: Setting, stride: Setting, scheme: Scheme
) -> Settings:
    """The settings of Keras's Conv2DTranspose, which fit whatever they are."""
    _scheme_rules(scheme)
    found = check((), len(size), size=size, kernel=kernel, stride=stride)
    return _with_output(found, partial(_tf_transposed, scheme=scheme))


def _tf(here: Mapping[str, int], scheme: Scheme) -> int:
    reach = 0 if scheme == "SAME" else span(here["kernel"], here["dilation"]) - 1
    return -(-(here["size"] - reach) // here["stride"])


def _tf_transposed(here: Mapping[str, int], scheme: Scheme) -> int:
    n, k, s = here["size"], here["kernel"], here["stride"]
    return n * s if scheme == "SAME" else (n - 1) * s + max(k, s)


def _scheme_rules(scheme: Scheme) -> tuple[Rule, ...]:
    if scheme not in ("SAME", "VALID"):
        choices = [{"scheme": "SAME"}, {"scheme": "VALID"}]
        raise SettingError("scheme", "must be SAME or VALID", {"scheme": scheme}, choices)
    fits = Rule(
        "kernel",
        "with VALID, dilation·(kernel − 1) + 1 must not exceed size",
        lambda here: span(here["kernel"], here["dilation"]) <= here["size"],
    )
    return (fits,) if scheme == "VALID" else ()


def _with_output(found: Settings, output: Callable[[Mapping[str, int]], int]) -> Settings:
    axes = range(len(found["size"]))
    sizes = (output({name: value[axis] for name, value in found.items()}) for axis in axes)
    return found | {"output_size": tuple(sizes)}


def _as_given(settings: Callable[..., Settings], size: Setting, *others: Setting) -> Size:
    """The output size for each axis; one number if every setting is one number."""
    axes = [
        len(tuple(value))
        for value in (size, *others)
        if isinstance(value, Iterable) and not is_whole(value)
    ]
    shape = size if isinstance(size, Iterable) else (size,) * max(axes, default=1)
    sizes = settings(shape, *others)["output_size"]
    return sizes if axes else sizes[0]
