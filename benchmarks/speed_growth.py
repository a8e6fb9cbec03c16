"""Seconds by how much there is: glyphs through `classify`, digits on a page through `read`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
from matplotlib import pyplot as plt
from numpy.typing import NDArray

from digitreader.reader import Reader
from digitreader.writing import whole
from speed_batch import MNIST
from speed_clock import Plan, seconds_of
from speed_pages import page, save

IMAGE = Path(__file__).parent.parent / "docs" / "images" / "speed.png"
MOST_GLYPHS = 10_000_000
ON_PAGES = (1, 3, 10, 30, 100, 200, 300, 600, 1000)  # digits
ENOUGH = 1.0  # s of calls, after which a size is not measured again
# Times what a glyph costs among the most, from where it counts as linear: a size that is measured
# again differs by a tenth.
CLOSE = 1.2
BLUE, GREY = "#1f5fa8", "#888888"

Costs = dict[int, float]  # seconds by size


def growth(plan: Plan) -> dict[str, Any]:
    """Seconds by size, from which size on it is linear, and what a page costs beside its digits."""
    reader = Reader()
    glyphs = _of_glyphs(reader, plan)
    pages = _of_pages(reader, plan)
    slope, base = np.polyfit(list(pages), list(pages.values()), 1)
    told = {
        "glyphs": {str(n): seconds for n, seconds in glyphs.items()},
        "microseconds_each": 1e6 * glyphs[max(glyphs)] / max(glyphs),
        "linear_from": linear_from(glyphs),
        "pages": {str(n): seconds for n, seconds in pages.items()},
        "page_seconds": float(base),
        "page_milliseconds_each": 1000 * float(slope),
    }
    if plan.scale == 1:
        draw(told, IMAGE)
    return told


def linear_from(glyphs: Costs) -> int:
    """The size from which on a glyph costs next to nothing more than among the most."""
    each = glyphs[max(glyphs)] / max(glyphs)
    dear = [n for n, seconds in glyphs.items() if seconds / n > CLOSE * each]
    return min(n for n in glyphs if n > max(dear, default=0))


def _of_glyphs(reader: Reader, plan: Plan) -> Costs:
    """Real digits, from the first again where there are no more: a doubtful one takes longer."""
    most = plan.count(MOST_GLYPHS)
    sizes = [10**i for i in range(8) if 10**i < most] + [most]
    some = plan.digits(min(MNIST, most)).images
    return costs({n: partial(repeated, reader.classify, some, n) for n in sizes})


def repeated(
    call: Callable[[NDArray[np.uint8]], object], some: NDArray[np.uint8], count: int
) -> None:
    """Call it with so many glyphs in all, those of uint8 [N, 28, 28] again and again."""
    for start in range(0, count, len(some)):
        call(some[: count - start])


def _of_pages(reader: Reader, plan: Plan) -> Costs:
    """Pages of so many digits, from their files."""
    sizes = [n for n in ON_PAGES if n <= max(plan.count(ON_PAGES[-1]), ON_PAGES[1])]
    with TemporaryDirectory() as folder:
        files = {n: save(page(plan, n), Path(folder) / f"{n}.jpg") for n in sizes}
        return costs({n: partial(reader.read, file) for n, file in files.items()})


def costs(calls: dict[int, Callable[[], object]]) -> Costs:
    """Median seconds of each call, after one of the smallest, which does not count."""
    calls[min(calls)]()
    return {n: _seconds(call) for n, call in calls.items()}


def _seconds(call: Callable[[], object]) -> float:
    times: list[float] = []
    while sum(times) < ENOUGH:
        times.append(seconds_of(call))
    return median(times)


def draw(told: dict[str, Any], path: Path) -> None:
    """Plot both costs over their sizes."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    sizes = np.array([int(n) for n in told["glyphs"]])
    left.loglog(sizes, list(told["glyphs"].values()), "o-", ms=4, color=BLUE)
    left.loglog(sizes, sizes * told["microseconds_each"] / 1e6, "--", color=GREY,
                label=f"{told['microseconds_each']:.0f} µs each")  # fmt: skip
    left.set(title="Glyphs through classify, one thread", xlabel="Glyphs", ylabel="Seconds")
    counts = np.array([int(n) for n in told["pages"]])
    fit = told["page_seconds"] + counts * told["page_milliseconds_each"] / 1000
    right.plot(counts, list(told["pages"].values()), "o", ms=4, color=BLUE)
    right.plot(counts, fit, "--", color=GREY,
               label=f"{told['page_seconds']:.2f} s and {told['page_milliseconds_each']:.2f} ms "
               "a digit")  # fmt: skip
    right.set(title="An A4 page at 300 dpi through read", xlabel="Digits on it",
              ylabel="Seconds", ylim=(0, None))  # fmt: skip
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    with whole(path) as draft:
        figure.savefig(draft, dpi=110, format="png")
    plt.close(figure)
