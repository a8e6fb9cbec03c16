"""Right answers where a digit was read wrong: pictures to learn from, a folder per class."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from digitreader.errors import UsageError
from digitreader.writing import make_folder, whole

NO_DIGIT = ".no_digit"  # hidden, so that training, which knows digits only, passes it over


class Corrections:
    """A folder of glyphs, as `digitreader train --dataset folder:…` takes it.

    A glyph's name is made of its pixels, so two are never mixed up, and one that is kept again
    lies only where it was put last.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, glyph: NDArray[np.uint8], label: str) -> Path:
        """Write a glyph, uint8 [28, 28], ink bright, under its right label, or NO_DIGIT.

        Raises:
            UsageError: the label is none that a folder can have, as `T-shirt/top`.
        """
        if label == ".." or Path(label).name != label:
            raise UsageError(f"the label {label!r} cannot name a folder: nothing was kept")
        path = self.folder / label / name_of(glyph)
        make_folder(path.parent)
        with whole(path) as draft:
            Image.fromarray(glyph).save(draft, "png")
        self.forget(glyph, path)
        return path

    def forget(self, glyph: NDArray[np.uint8], but: Path | None = None) -> None:
        """Remove a glyph from every class but where it belongs."""
        for path in self._places(glyph):
            if path != but:
                path.unlink()

    def find(self, glyph: NDArray[np.uint8]) -> str | None:
        """Return the label that a glyph was kept under; None: it was not."""
        return next((path.parent.name for path in self._places(glyph)), None)

    def counts(self) -> dict[str, int]:
        """Return how many glyphs each class has."""
        folders = sorted(path for path in self.folder.glob("*") if path.is_dir())
        counts = {folder.name: len(list(folder.glob("*.png"))) for folder in folders}
        return {name: count for name, count in counts.items() if count}

    def _places(self, glyph: NDArray[np.uint8]) -> list[Path]:
        return list(self.folder.glob(f"*/{name_of(glyph)}"))


def name_of(glyph: NDArray[np.uint8]) -> str:
    """Return the file name that a glyph's pixels give it."""
    return hashlib.sha256(glyph.tobytes()).hexdigest()[:20] + ".png"
