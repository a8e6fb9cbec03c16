"""What a benchmark ran on, and with which models."""

from __future__ import annotations

import os
import platform
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from digitreader.classifier import shipped_model


def describe(*packages: str) -> dict[str, str]:
    """Return processor, cores, system and the versions that matter."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if "model name" in line), "")
    return {
        "processor": model or platform.processor() or platform.machine(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{package: version(package) for package in packages or ("keras", "tensorflow-cpu")},
    }


def models(classifier: Path | None = None) -> dict[str, str]:
    """Return the start of the SHA-256 of the files that digits are read and found with.

    The classifier is the one that ships where none is named. By these the pages of numbers tell
    whether a result is of the models that ship now.
    """
    files = {"digits": classifier or shipped_model("digits"), "finder": shipped_model("finder")}
    return {name: sha256(file.read_bytes()).hexdigest()[:16] for name, file in files.items()}
