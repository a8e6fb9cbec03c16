"""What every room of the page needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from digitreader.doors.page.corrections import Corrections
from digitreader.doors.page.history import History
from digitreader.reader import Reader


@dataclass(frozen=True)
class Visit:
    """A user's stay: the model that reads, None being the one that ships, and what is kept."""

    model: Path | None
    reader: Reader
    corrections: Corrections
    history: History
