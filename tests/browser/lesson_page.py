"""A lesson in a real browser: its address, the cells of its picture."""

from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import FIRST_RESULT, idle, point_at

READY = '[data-role="linked-grid"][data-ready="true"]'
PICTURE = f".st-key-picture {READY}"
"""The picture of a lesson; some pages have others beside it."""

Cells = set[tuple[int, int]]


def address(lesson: str, base: str, query: str = "") -> str:
    """The address of a lesson on a server."""
    return base.rstrip("/") + f"/{lesson}" + (f"?{query}" if query else "")


def visit(lesson: str, page: Page, base: str, query: str = "") -> None:
    """Open a lesson on a server and wait until it stands still."""
    page.goto(address(lesson, base, query))
    # A picture's code comes after the run that names it, and until then takes no key.
    kinds = '[data-role="linked-grid"], [data-role="photo-field"]'
    ready = page.locator(f'[data-ready="true"]:is({kinds})').first
    expect(ready).to_be_attached(timeout=FIRST_RESULT)
    idle(page)


def cells(page: Page, grid: str, picture: str = PICTURE) -> Locator:
    """The cells of a grid."""
    return page.locator(f'{picture} [data-grid="{grid}"][role="gridcell"]')


def cell(page: Page, grid: str, row: int, col: int, picture: str = PICTURE) -> Locator:
    """One cell, in the numbers of `data-row` and `data-col`."""
    place = f'[data-grid="{grid}"][data-row="{row}"][data-col="{col}"]'
    return page.locator(f"{picture} {place}")


def lit(page: Page) -> dict[str, Cells]:
    """The lit cells by grid, in the numbers of `data-row` and `data-col`."""
    found: dict[str, Cells] = {}
    lights = page.locator(f"{PICTURE} [data-grid][data-active]")
    for place in lights.evaluate_all("all => all.map(one => ({...one.dataset}))"):
        found.setdefault(place["grid"], set()).add((int(place["row"]), int(place["col"])))
    return found


def point(page: Page, grid: str, row: int, col: int) -> dict[str, Cells]:
    """Point at a cell; the cells that are lit then, by grid."""
    target = cell(page, grid, row, col)
    for _ in range(5):
        point_at(target)
        found = lit(page)
        # Unless the page has moved under the pointer after all, these are the cell's.
        if target.get_attribute("data-active") == "self":
            return found
    raise AssertionError(f"the pointer does not stay on row {row}, column {col} of {grid}")
