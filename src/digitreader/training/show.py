"""What is in a dataset, in words and in a picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from digitreader.errors import needs_extra
from digitreader.training.backend import greetings_silenced
from digitreader.training.datasets import Dataset, Split
from digitreader.training.warps import Warp

ZOOM = 2  # a glyph's pixels on the screen
LABEL_HEIGHT = 18  # px below each glyph
GAP = 6  # px between two samples
PAPER, WRITING = 32, 255  # darker than the labels, lighter than a glyph's own ground


def description(dataset: Dataset) -> str:
    """Where it was found, shapes, pixel mean and deviation, and images per class."""
    parts = [("train", dataset.train)] + ([("test", dataset.test)] if dataset.test else [])
    lines = [f"{dataset.name}: {len(dataset.labels)} classes, found in {dataset.source}"]
    lines += [f"{name}: {_summary(split)}" for name, split in parts]
    width = max(len("class"), *map(len, dataset.labels))
    lines.append("class".ljust(width) + "".join(name.rjust(9) for name, _ in parts))
    classes = len(dataset.labels)
    counts = [np.bincount(split.targets, minlength=classes) for _, split in parts]  # [classes]
    for target, label in enumerate(dataset.labels):
        cells = "".join(f"{count[target]:9,}" for count in counts)
        lines.append(label.ljust(width) + cells)
    return "\n".join(lines)


def _summary(split: Split) -> str:
    """Mean and deviation as fractions of full brightness, as they are usually quoted."""
    images = split.images
    levels = np.bincount(images.ravel(), minlength=256) / images.size  # share of each level
    values = np.arange(256) / 255
    mean = float(levels @ values)
    deviation = float(np.sqrt(levels @ (values - mean) ** 2))
    return (
        f"{len(split):,} images, {images.dtype} {list(images.shape)}, ink bright, "
        f"mean {mean:.4f}, standard deviation {deviation:.4f}"
    )


def sample_grid(
    split: Split, labels: tuple[str, ...], rows: int, columns: int, seed: int
) -> Image.Image:
    """A grey picture of images with their labels below, chosen by the seed."""
    chosen = _chosen(split, rows * columns, seed)
    return _grid(chosen.images, [labels[target] for target in chosen.targets], columns)


def varied_grid(  # noqa: PLR0913, PLR0917 (as a grid of samples, and how they are varied)
    split: Split, labels: tuple[str, ...], rows: int, columns: int, seed: int, warp: Warp
) -> Image.Image:
    """The same with a sample a row: as it is with its label, then as a warp varies it."""
    with needs_extra("a picture of augmentation", "train"), greetings_silenced():
        from keras import ops

        from digitreader.training.augment import draw, vary
    chosen = _chosen(split, rows, seed)
    images = np.repeat(chosen.images, columns, axis=0)  # [rows * columns, 28, 28]
    draws = draw(len(images), np.random.default_rng(seed))
    varied = ops.convert_to_numpy(vary(warp, np.float32(images / 255), draws))
    shown = (255 * varied).round().astype(np.uint8)
    shown[::columns] = chosen.images
    captions = [""] * len(shown)
    captions[::columns] = [labels[target] for target in chosen.targets]
    return _grid(shown, captions, columns)


def _chosen(split: Split, count: int, seed: int) -> Split:
    keys = np.random.PCG64(seed).random_raw(len(split))
    return split.take(np.argsort(keys, kind="stable")[:count])


def _grid(images: NDArray[np.uint8], captions: list[str], columns: int) -> Image.Image:
    """Draw uint8 [N, 28, 28], row by row, with a caption below each."""
    rows = -(-len(images) // columns)
    side = images.shape[1] * ZOOM
    across, down = side + GAP, side + LABEL_HEIGHT + GAP
    grid = Image.new("L", (columns * across + GAP, rows * down + GAP), PAPER)
    draw = ImageDraw.Draw(grid)
    font = ImageFont.load_default(LABEL_HEIGHT - 4)
    for place, (image, caption) in enumerate(zip(images, captions, strict=True)):
        x, y = GAP + place % columns * across, GAP + place // columns * down
        glyph = Image.fromarray(image)
        grid.paste(glyph.resize((side, side), Image.Resampling.NEAREST), (x, y))
        draw.text((x + side // 2, y + side), caption, WRITING, font, anchor="mt")
    return grid
