"""From glyphs to probabilities: one ONNX file, run by ONNX Runtime."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from digitreader.errors import ModelError
from digitreader.glyphs import GLYPH_FORM

if TYPE_CHECKING:
    import onnxruntime

SHIPPED = "digits"
BATCH = 256  # glyphs a run: larger ones leave the cache and are slower


@dataclass(frozen=True)
class ModelCard:
    """What a model file says about itself; everything the reader needs beside the network."""

    name: str
    labels: tuple[str, ...]
    temperature: float  # logits are divided by it, so that confidence is honest
    unsure_below: float  # a digit with less confidence is called unsure
    glyph_form: int = GLYPH_FORM  # which version of glyphs.py it was trained for
    trained: dict[str, Any] = field(default_factory=dict)  # recipe, seed and measured scores

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, text: str) -> ModelCard:
        """Read a card.

        Raises:
            ValueError: it is not one.
        """
        values = json.loads(text)
        if not isinstance(values, dict) or set(values) != {f.name for f in fields(cls)}:
            raise ValueError("the card's entries are not the expected ones")
        values["labels"] = tuple(values["labels"])
        return cls(**values)


class Classifier:
    """A trained model, ready to run. Safe to share between threads."""

    def __init__(self, session: onnxruntime.InferenceSession, card: ModelCard) -> None:
        self._session = session
        self._shapes = {output.name: output.shape[1:] for output in session.get_outputs()}
        self.card = card

    @classmethod
    def open(cls, path: str | Path | None = None, threads: int = 1) -> Classifier:
        """Load an ONNX file that this project made; None means the model that ships.

        A page's glyphs are one small batch, which one thread reads sooner than a pool does;
        0 means a thread for each core.

        Raises:
            ModelError: the file is missing, corrupt, or not one of ours.
        """
        path = Path(path) if path is not None else shipped_model(SHIPPED)
        session = session_of(path, threads)
        return cls(session, _card_of(session, path))

    def logits(self, glyphs: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Run the network on uint8 [N, 28, 28], ink bright: float32 [N, K or K + 1], uncalibrated.

        A model that has seen other things than its K classes has a column more, for those.

        Raises:
            ValueError: the array has another shape or type.
        """
        return self._run("logits", glyphs)

    def maps(self, glyphs: NDArray[np.uint8]) -> NDArray[np.float32]:
        """How much each place of uint8 [N, 28, 28], ink bright, speaks for each class.

        Class-activation maps (Zhou et al. 2016), float32 [N, h, w, K or K + 1], in logits:
        negative where a place speaks against a class. `explain.py` lays them over the glyphs.

        Raises:
            ValueError: the array has another shape or type.
            ModelError: the model has none.
        """
        if "maps" not in self._shapes:
            raise ModelError(
                f"the model {self.card.name!r} has no activation maps: expected one whose network "
                "ends in global pooling, as 'digitreader train' makes now"
            )
        return self._run("maps", glyphs)

    def _run(self, output: str, glyphs: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Run the network on uint8 [N, 28, 28], a batch at a time."""
        glyphs = np.asarray(glyphs)
        if glyphs.dtype != np.uint8 or glyphs.ndim != 3 or glyphs.shape[1:] != (28, 28):
            raise ValueError(
                f"expected glyphs as uint8 [N, 28, 28], got {glyphs.dtype} {list(glyphs.shape)}"
            )
        batches = [
            self._session.run([output], {"glyphs": glyphs[start : start + BATCH]})[0]
            for start in range(0, len(glyphs), BATCH)
        ]
        if not batches:
            return np.empty((0, *self._shapes[output]), np.float32)
        return np.concatenate(batches)  # [N, ...]

    def probabilities(self, glyphs: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Calibrated probabilities of uint8 [N, 28, 28], ink bright: float32 [N, K].

        What a row lacks to one is the probability that the glyph is none of the classes.
        """
        return softmax(self.logits(glyphs) / self.card.temperature)[:, : len(self.card.labels)]


def shipped_model(name: str) -> Path:
    """Where a model that comes with the package lies."""
    return Path(str(files("digitreader") / "models" / f"{name}.onnx"))


def session_of(path: Path, threads: int = 0) -> onnxruntime.InferenceSession:
    """Load an ONNX file, to run on so many threads; 0 means one for each core.

    Raises:
        ModelError: the file is missing or corrupt.
    """
    import onnxruntime

    if not path.is_file():
        raise ModelError(f"there is no model file {path}; expected an .onnx file")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only: they are raised, not printed
    options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(
            path.read_bytes(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # ONNX Runtime raises its own family, from C++
        first = str(error).splitlines()[0]
        raise ModelError(f"{path} is not a readable ONNX model: {first}") from error


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn logits, float32 [N, K], into probabilities whose rows sum to one."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    share: NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
    return share


def _card_of(session: onnxruntime.InferenceSession, path: Path) -> ModelCard:
    """Check that a loaded network is one of ours, and return its card."""
    text = session.get_modelmeta().custom_metadata_map.get("digitreader")
    if text is None or _names(session.get_inputs()) != ["glyphs"]:
        raise ModelError(
            f"{path} was not made by digitreader: train one with 'digitreader train', "
            "or leave --model out to use the one that ships"
        )
    try:
        card = ModelCard.from_json(text)
    except ValueError as error:
        raise ModelError(f"{path} carries a card that cannot be read: {error}") from error
    if card.glyph_form != GLYPH_FORM:
        raise ModelError(
            f"{path} was trained for glyphs of form {card.glyph_form}, "
            f"this version makes form {GLYPH_FORM}: train it again"
        )
    return card


def _names(values: Sequence[onnxruntime.NodeArg]) -> list[str]:
    return [value.name for value in values]
