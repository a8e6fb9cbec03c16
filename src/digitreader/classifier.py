"""From glyphs to probabilities: one ONNX file, run by ONNX Runtime."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from digitreader.card import ModelCard
from digitreader.errors import ModelError, first_line
from digitreader.glyphs import GLYPH_FORM
from digitreader.onnx_file import notes_of, read_whole

if TYPE_CHECKING:
    import onnxruntime

SHIPPED = "digits"
BATCH = 256  # glyphs a run: larger ones leave the cache and are slower


class Classifier:
    """A trained model, ready to run. Safe to share between threads.

    `knows_none` says whether it has seen other things than its classes, and gives a logit for them.
    """

    def __init__(self, session: onnxruntime.InferenceSession, card: ModelCard, path: Path) -> None:
        self._session = session
        self._shapes = {output.name: output.shape[1:] for output in session.get_outputs()}
        self.card = card
        self.knows_none = self._tried(path) > len(card.labels)

    @classmethod
    def open(cls, path: str | Path | None = None, threads: int = 1) -> Classifier:
        """Load an ONNX file that this project made; None means the model that ships.

        A page's glyphs are one small batch, which one thread reads sooner than a pool does;
        0 means a thread for each core.

        Raises:
            ModelError: the file is missing, corrupt, or not one of ours.
        """
        path = Path(path) if path is not None else shipped_model(SHIPPED)
        content = read_whole(path)
        card = _card_of(content, path)
        return cls(session_of(content, path, threads), card, path)

    def logits(self, glyphs: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Run the network on uint8 [N, 28, 28], ink bright: float32 [N, K or K + 1], uncalibrated.

        A model that knows what is none of its K classes has a column more, for that.

        Raises:
            ValueError: the array has another shape or type.
            ModelError: the network cannot be run, or gives what are no numbers.
        """
        logits = self._run("logits", glyphs)
        if not np.isfinite(logits).all():
            raise ModelError(
                f"the model {self.card.name!r} gives what are no numbers: it is broken"
            )
        return logits

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

    def _tried(self, path: Path) -> int:
        """Read two glyphs, to see that the network is what its card says; the logits of each.

        Raises:
            ModelError: it is not.
        """
        classes = len(self.card.labels)
        try:
            shape = self.logits(np.zeros((2, 28, 28), np.uint8)).shape
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error
        if shape not in ((2, classes), (2, classes + 1)):
            raise ModelError(
                f"{path} gives {list(shape)} for two glyphs; expected [2, {classes}], a logit for "
                "each label of its card, or one more"
            )
        return shape[1]

    def _run(self, output: str, glyphs: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Run the network on uint8 [N, 28, 28], a batch at a time."""
        glyphs = np.asarray(glyphs)
        if glyphs.dtype != np.uint8 or glyphs.ndim != 3 or glyphs.shape[1:] != (28, 28):
            raise ValueError(
                f"expected glyphs as uint8 [N, 28, 28], got {glyphs.dtype} {list(glyphs.shape)}"
            )
        try:
            batches = [
                self._session.run([output], {"glyphs": glyphs[start : start + BATCH]})[0]
                for start in range(0, len(glyphs), BATCH)
            ]
        except Exception as error:  # ONNX Runtime raises its own family, from C++
            raise ModelError(
                f"the model {self.card.name!r} cannot be run: {first_line(error)}"
            ) from error
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


def session_of(content: bytes, path: Path, threads: int = 0) -> onnxruntime.InferenceSession:
    """Load what `read_whole` gave, to run on so many threads; 0 means one for each core.

    Raises:
        ModelError: it is no network that can be run; the message names the file.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised, not printed
    options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises its own family, from C++
        raise ModelError(f"{path} is not a readable ONNX model: {first_line(error)}") from error


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn logits, float32 [N, K], into probabilities whose rows sum to one."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    share: NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
    return share


def _card_of(content: bytes, path: Path) -> ModelCard:
    """Check that a file is one of ours, and return its card."""
    try:
        text = notes_of(content).get("digitreader")
        if text is None:
            raise ModelError(
                f"{path} was not made by digitreader: train one with 'digitreader train', "
                "or leave --model out to use the one that ships"
            )
        card = ModelCard.from_json(text)
    except ValueError as error:
        raise ModelError(f"{path} carries a card that cannot be read: {error}") from error
    if card.glyph_form != GLYPH_FORM:
        raise ModelError(
            f"{path} was trained for glyphs of form {card.glyph_form}, "
            f"this version makes form {GLYPH_FORM}: train it again"
        )
    return card
