"""Steps that are compiled together train what single ones train."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("keras", reason="training needs the extra: pip install '.[train]'")
pytest.importorskip("jax", reason="needs pip install jax")

TRAIN = """
import sys
from pathlib import Path
from digitreader.training import stretches
from digitreader.training.recipes import Recipe
from digitreader.training.train import train

if sys.argv[2:]:
    stretches.pay, stretches.STRETCH = (lambda: True), int(sys.argv[2])
recipe = Recipe("optdigits", "mlp", batch_size=256, epochs=3, precision="float32", averaged=0.9)
shares = []
train(recipe, Path(sys.argv[1]), test=False, report=lambda done, row: shares.append(done))
print(*shares)
"""


@pytest.mark.slow
def test_a_stretch_of_steps_trains_what_single_ones_do(tmp_path: Path) -> None:
    """Five steps an epoch, one by one, and four and one: `pytest -m slow tests/test_stretches.py`.

    A minute; needs jax.
    """
    single, stretched = train(tmp_path / "single"), train(tmp_path / "stretched", "4")
    assert single[:6] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1])
    assert stretched[:3] == pytest.approx([0.8, 1, 1])
    for one, other in zip(history(tmp_path / "single"), history(tmp_path / "stretched"),
                          strict=True):  # fmt: skip
        for name in ("loss", "val_loss", "learning_rate"):
            assert float(other[name]) == pytest.approx(float(one[name]), rel=1e-3)


def train(out: Path, *stretch: str) -> list[float]:
    """Train in a process of its own; return how far it said that it was."""
    command = [sys.executable, "-c", TRAIN, str(out), *stretch]
    environment = os.environ | {"KERAS_BACKEND": "jax"}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return [float(share) for share in done.stdout.split()]


def history(run: Path) -> list[dict[str, str]]:
    with (run / "history.csv").open(encoding="utf-8") as text:
        return list(csv.DictReader(text))
