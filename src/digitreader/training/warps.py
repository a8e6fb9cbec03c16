"""How training digits may be varied: knobs alone, by name; `augment.py` does it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from digitreader.errors import UsageError


@dataclass(frozen=True)
class Warp:
    """How far an image may be bent, and how its strokes may change."""

    shift: float = 0.0  # pixels, either way
    whole: bool = False  # moves by whole pixels, and does nothing else: the cheapest that helps
    rotation: float = 0.0  # degrees, either way
    zoom: float = 0.0  # share of the size, either way
    shear: float = 0.0  # share of the height, either way
    stretch: float = 0.0  # share of the width against the height, either way
    elastic: float = 0.0  # pixels that the nodes of a grid move (Simard et al. 2003, coarser)
    thinner: float = 0.0  # pixels that a stroke's edge may move in, 1 at most
    thicker: float = 0.0  # pixels that it may move out, 1 at most
    fading: float = 0.0  # share of the brightness that may go
    noise: float = 0.0  # greatest standard deviation, in shares of full brightness
    erased: float = 0.0  # share of the sides that a blank square may have (DeVries & Taylor 2017)
    graded: bool = False  # each image draws a share of it all first: few are bent in every way


MILD = Warp(
    shift=2.5,
    rotation=6,  # 15° and a shear of 0.2 made sevens of ones
    zoom=0.1,
    shear=0.08,
    stretch=0.3,
    elastic=0.7,
    thinner=0.4,
    thicker=0.5,
    graded=True,
)

WARPS: dict[str, Warp] = {
    "none": Warp(),
    "shift": Warp(shift=2, whole=True),
    "classic": Warp(shift=2.8, rotation=10, zoom=0.1),
    "mild": MILD,  # as people write
    "bent": replace(MILD, rotation=10, shear=0.12, elastic=1.2),  # for long trainings
    "strong": replace(MILD, thinner=0.6, thicker=1.0, fading=0.4, noise=0.03),  # and pictures show
}


def named(name: str) -> Warp:
    """Return the warp of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in WARPS:
        raise UsageError(f"no augmentation is called {name!r}; there are: {', '.join(WARPS)}")
    return WARPS[name]
