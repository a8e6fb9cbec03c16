"""The notebook runs from its first cell to its last, and what is committed of it is fit to be."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
pytest.importorskip("tensorflow")

ROOT = Path(__file__).parent.parent
NOTEBOOK = ROOT / "notebooks" / "handwritten_digits.ipynb"
MOST = 1_000_000  # bytes


def test_the_notebook_runs_without_a_download(tmp_path: Path) -> None:
    notebook = nbformat.read(NOTEBOOK, 4)
    first = notebook.cells[1]
    assert 'DATASET = "mnist"' in first.source
    first.source = first.source.replace('DATASET = "mnist"', 'DATASET = "optdigits"')
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    (tmp_path / "notebooks").mkdir()
    place = {"metadata": {"path": str(tmp_path / "notebooks")}}
    nbclient.NotebookClient(notebook, timeout=300, resources=place).execute()
    said = "".join(output.get("text", "") for output in _outputs(notebook))
    assert "epoch 4: held out" in said
    assert "Test accuracy: 9" in said
    assert "2026 11 21" in said
    assert sum("image/png" in output.get("data", {}) for output in _outputs(notebook)) >= 8


def test_what_is_committed_was_run_in_order_and_is_small_and_tells_no_place() -> None:
    notebook = nbformat.read(NOTEBOOK, 4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [output for output in _outputs(notebook) if output.output_type == "error"]
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert len(text) < MOST
    said = "".join(cell.source for cell in notebook.cells)
    said += "".join(str(output.get("text", "")) for output in _outputs(notebook))
    places = re.findall(r"""(?:^|[\s"'(=])((?:/|[A-Z]:\\)\w[^\s"')]*)""", said)
    assert not places  # all paths are relative


def _outputs(notebook: Any) -> list[Any]:
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]
