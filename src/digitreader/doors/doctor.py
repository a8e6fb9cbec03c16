"""`digitreader doctor`: is everything there, and if not, what to do."""

from __future__ import annotations

import platform
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

import click

from digitreader import __version__
from digitreader.errors import DigitReaderError, ExitCode

EXTRAS = {
    "train": ("keras", "tensorflow", "onnx", "tf2onnx", "sklearn", "matplotlib", "pyarrow"),
    "api": ("fastapi", "uvicorn", "httptools", "python_multipart", "prometheus_client"),
    "page": ("streamlit", "pypdfium2"),
    "ray": ("ray", "pyarrow"),
    "tensorboard": ("tensorboard",),
    "parquet": ("pyarrow",),
    "pdf": ("pypdfium2",),
    "tune": ("optuna",),
    "export": ("ai_edge_litert", "openvino"),
}
CORE = ("numpy", "pillow", "opencv-python-headless", "onnxruntime", "click", "rich")


@click.command()
def doctor() -> int:
    """Check this installation.

    Says what to do about what is missing; ends with 3 where reading does not work.
    """
    sound = True
    checks: dict[str, Callable[[], str]] = {
        "core libraries": _core,
        "shipped model": _shipped_model,
        "reading": _reading,
        **{f"extra '{name}'": partial(_extra, name) for name in EXTRAS},
        "MNIST": _mnist,
    }
    click.echo(f"digitreader {__version__}, Python {platform.python_version()}, {_machine()}")
    for name, check in checks.items():
        try:
            click.echo(f"{click.style('ok     ', fg='green')} {name}: {check()}")
        except _Optional as note:
            click.echo(f"{click.style('without', fg='yellow')} {name}: {note}")
        except (DigitReaderError, PackageNotFoundError, ImportError) as error:
            sound = False
            click.echo(f"{click.style('broken ', fg='red')} {name}: {error}")
    return ExitCode.OK if sound else ExitCode.MISSING


class _Optional(Exception):  # noqa: N818 (not an error: something one can do without)
    """What is not there, and how to get it."""


def _machine() -> str:
    return f"{platform.system()} {platform.machine()}"


def _core() -> str:
    return ", ".join(f"{name} {version(name)}" for name in CORE)


def _shipped_model() -> str:
    from digitreader.classifier import Classifier

    card = Classifier.open().card
    return f"{card.name}, labels {''.join(card.labels)}"


def _reading() -> str:
    """Read a drawn 1 and an empty page."""
    import numpy as np

    import digitreader

    page = np.full((90, 60), 255, np.uint8)
    empty = digitreader.read(page, "single")
    page[15:75, 27:33] = 0
    one = digitreader.read(page, "single")
    if (empty.status, one.text) != ("empty", "1"):
        raise DigitReaderError(
            f"a drawn 1 is read as {one.text!r}, an empty page as {empty.text!r}"
        )
    return "a drawn 1 is read as 1, an empty page as empty"


def _extra(name: str) -> str:
    absent = [module for module in EXTRAS[name] if find_spec(module) is None]
    if absent:
        raise _Optional(f"no {', '.join(absent)}; pip install 'digitreader[{name}]'")
    return "installed"


def _mnist() -> str:
    from digitreader.training.datasets import locate

    found = locate("mnist", None)
    if not found:
        raise _Optional("not on this machine; digitreader data download mnist")
    return str(found)
