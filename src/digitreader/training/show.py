"""What is in a dataset, in words and in a picture."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from digitreader.training.datasets import Dataset, Split

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


def sample_grid(dataset: Dataset, rows: int, columns: int, seed: int) -> Image.Image:
    """A grey picture of training images with their labels below, chosen by the seed."""
    split = dataset.train
    keys = np.random.PCG64(seed).random_raw(len(split))
    chosen = np.argsort(keys, kind="stable")[: rows * columns]
    side = split.images.shape[1] * ZOOM
    across, down = side + GAP, side + LABEL_HEIGHT + GAP
    grid = Image.new("L", (columns * across + GAP, rows * down + GAP), PAPER)
    draw = ImageDraw.Draw(grid)
    font = ImageFont.load_default(LABEL_HEIGHT - 4)
    for place, row in enumerate(chosen):
        x, y = GAP + place % columns * across, GAP + place // columns * down
        glyph = Image.fromarray(split.images[row])
        grid.paste(glyph.resize((side, side), Image.Resampling.NEAREST), (x, y))
        label = dataset.labels[split.targets[row]]
        draw.text((x + side // 2, y + side), label, WRITING, font, anchor="mt")
    return grid
