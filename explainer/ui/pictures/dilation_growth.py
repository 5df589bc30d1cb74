"""Weights against field of three stacks of dilated layers, as a drawing.

A drawing of its own, because a general chart costs every first visitor a second of imports here
and another in the browser.
"""

import html
from collections.abc import Iterable
from functools import lru_cache

from explainer.ui.pictures.dilation import growth

WIDTH, HEIGHT = 400, 190
LEFT, RIGHT, TOP, BOTTOM = 48, 14, 12, 52

# Colour and dashes of each line.
_STYLES = {
    "1, 2, 4, 8 …": ("#009E73", "none"),
    "dilation 1": ("#0072B2", "2 5"),
    "this stack": ("#E69F00", "10 5"),
}


def ticks(most: int) -> list[int]:
    """Up to four round numbers from 0 on, the last of them at most `most`."""
    sizes = (factor * 10**power for power in range(9) for factor in (1, 2, 5))
    step = next(size for size in sizes if most // size < 4)
    return list(range(0, most + 1, step))


@lru_cache(maxsize=64)
def chart(dilations: tuple[int, ...], taps: int) -> str:
    """The drawing, as SVG: a line for each of `growth`, with a point for each layer."""
    lines = growth(dilations, taps)
    widest = max(max(weights) for weights, _ in lines.values())
    highest = max(max(fields) for _, fields in lines.values())

    def across(weights: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * weights / widest, 1)

    def down(field: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * field / highest, 1)

    parts = []
    for value in ticks(highest):
        y = down(value)
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" stroke="currentColor" '
            f'opacity="{0.2 if value else 1}"/>'
            f'<text x="{LEFT - 6}" y="{y + 6}" text-anchor="end">{value}</text>'
        )
    for value in ticks(widest):
        x = across(value)
        parts.append(
            f'<text x="{x}" y="{HEIGHT - BOTTOM + 21}" text-anchor="middle">{value}</text>'
        )
    for name, (weights, fields) in lines.items():
        places = [(across(x), down(y)) for x, y in zip(weights, fields, strict=True)]
        points = " ".join(f"{x},{y}" for x, y in places)
        parts.append(
            f'<polyline points="{points}" fill="none" {_stroke(name)} '
            f'data-line="{html.escape(name)}"/>'
        )
        parts += [f'<circle cx="{x}" cy="{y}" r="4" fill="{_STYLES[name][0]}"/>' for x, y in places]
    parts += _legend(lines)
    said = "; ".join(
        f"{name}: {weights[-1]} weights see {fields[-1]} cells"
        for name, (weights, fields) in lines.items()
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="100%" role="img" font-size="18.6" '
        f'fill="currentColor" data-role="growth" '
        f'aria-label="Field against weights. {html.escape(said)}">'
        f"{''.join(parts)}"
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 8}" text-anchor="end">weights (one channel)</text>'
        f'<text x="4" y="{HEIGHT - 8}">↑ field r</text></svg>'
    )


def _stroke(name: str) -> str:
    colour, dashes = _STYLES[name]
    return f'stroke="{colour}" stroke-width="4" stroke-dasharray="{dashes}"'


def _legend(names: Iterable[str]) -> list[str]:
    parts = []
    for row, name in enumerate(names):
        y = TOP + 14 + 22 * row
        parts.append(
            f'<line x1="{LEFT + 12}" x2="{LEFT + 56}" y1="{y}" y2="{y}" {_stroke(name)}/>'
            f'<text x="{LEFT + 64}" y="{y + 6}">{html.escape(name)}</text>'
        )
    return parts
