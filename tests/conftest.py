"""What several tests need: pictures drawn by the examples, real data where there is some."""

from __future__ import annotations

import csv
import os
import signal
from collections.abc import Generator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import NDArray

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"

# TensorFlow greets on stderr and takes all memory it sees; tests want neither.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if "PYTEST_XDIST_WORKER" in os.environ:  # which has a core's share of the machine
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell starts `make test &` like that
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Files that take half a minute and more, the slowest first: the last to end begins early.
LONG = (
    "finetune", "training", "killed", "tune", "formats", "page_browser", "unwritable", "cli",
    "networks", "train_finder", "explain", "notebook", "hostile_networks", "properties", "augment",
)  # fmt: skip

settings.register_profile("digitreader", deadline=None)  # a busy machine is no failure
settings.load_profile("digitreader")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take long first."""
    place = {f"test_{name}": i for i, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.path.stem, len(LONG)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell what a browser showed, and what of it could not be used, where its test failed."""
    report = yield
    page: Any = getattr(item, "funcargs", {}).get("page")
    if report.when == "call" and report.failed and hasattr(page, "locator"):
        with suppress(Exception):  # a browser that has gone shows nothing
            inert = page.locator("[inert]").evaluate_all("all => all.map(each => each.outerHTML)")
            seen = [page.locator("body").aria_snapshot(), *(html[:500] for html in inert)]
            report.sections.append(("what the page showed", "\n\n".join(seen)))
    return report


@pytest.fixture(scope="session")
def examples() -> dict[Path, tuple[str, ...]]:
    """The example pictures, and the lines that each of them says."""
    with (EXAMPLES / "expected.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {
        EXAMPLES / row["file"]: tuple(line for line in row["lines"].split("|") if line)
        for row in rows
    }


@pytest.fixture(scope="session")
def optdigits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Real handwritten digits that scikit-learn carries, in glyph form: images, targets."""
    from digitreader.training.datasets import load

    dataset = load("optdigits")
    return dataset.train.images, dataset.train.targets


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a short run of the default network on those digits, which reads some wrong."""
    from digitreader.training.recipes import Recipe
    from digitreader.training.train import train

    folder = tmp_path_factory.mktemp("trained") / "run"
    train(Recipe(dataset="optdigits", epochs=1, batch_size=32), folder)
    return folder


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data sets, where there is one."""
    folder = os.environ.get("DIGITREADER_DATA")
    if not folder:
        pytest.skip("DIGITREADER_DATA names no data folder")
    return Path(folder)


@pytest.fixture(scope="session")
def mnist(data_folder: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """MNIST's training images and targets."""
    from digitreader.training.datasets import load

    dataset = load("mnist", data_folder)
    return dataset.train.images, dataset.train.targets


@pytest.fixture
def read_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read what is exported in this process, for a new one would import TensorFlow once more."""
    pytest.importorskip("tensorflow")
    from digitreader.training import model_files, runtimes

    def read(name: str, path: Path, images: Any) -> tuple[Any, float]:
        return runtimes.RUNTIMES[name](path)(images), 1.0

    monkeypatch.setattr(model_files, "afresh", lambda: nullcontext(read))
