"""Models as one file give what they give by hand, and ask no more than they have to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from scipy.special import softmax

keras = pytest.importorskip("keras", reason="training needs the extra: pip install '.[train]'")
pytest.importorskip("tensorflow")

from digitreader.card import ModelCard  # noqa: E402
from digitreader.classifier import Classifier  # noqa: E402
from digitreader.doors.cli import cli  # noqa: E402
from digitreader.errors import UsageError  # noqa: E402
from digitreader.reader import Reader  # noqa: E402
from digitreader.training import eight_bits, export, networks  # noqa: E402
from digitreader.training.cascade import PLAIN_SHARE, join  # noqa: E402
from digitreader.training.recipes import Recipe  # noqa: E402

LABELS = tuple("0123456789")
SURE = 0.5
NETWORKS = {"quick": "nano", "thorough": "tiny", "plain": "lenet-5"}
TEMPERATURES = {"quick": 1.0, "thorough": 2.0, "plain": 0.5}


def model(folder: Path, name: str, labels: tuple[str, ...] = LABELS, **changes: Any) -> Path:
    """An untrained network with a card, in a file."""
    recipe = Recipe(dataset="optdigits", validation=140, outliers=100).with_changes(**changes)
    keras.utils.set_random_seed(len(name))
    network = networks.build(NETWORKS[name], len(labels) + bool(recipe.outliers))
    card = ModelCard(name, labels, TEMPERATURES[name], 0.7, trained={"recipe": recipe.as_dict()})
    path = folder / f"{name}.onnx"
    export.write_onnx(network, path, card)
    return path


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("pair")
    return model(folder, "quick"), model(folder, "thorough")


def run(path: Path, output: str, images: NDArray[np.uint8]) -> NDArray[Any]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    result: NDArray[Any] = session.run([output], {"glyphs": images})[0]
    return result


def doubting(quick: Path, images: NDArray[np.uint8], share: float) -> float:
    """The confidence at which it is in doubt about such a share of them."""
    confidence = softmax(run(quick, "logits", images) / TEMPERATURES["quick"], axis=1).max(axis=1)
    middle = float(np.quantile(confidence, share, method="weibull"))
    return {0.0: 0.0, 1.0: 1.0}.get(share, middle)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_it_gives_what_the_two_give(
    pair: tuple[Path, Path], share: float, optdigits: Any, tmp_path: Path
) -> None:
    images = optdigits[0][:300]
    sure = doubting(pair[0], images, share)
    made = join(*pair, tmp_path / "both.onnx", sure=sure)
    said = [softmax(run(path, "logits", images) / TEMPERATURES[path.stem], axis=1) for path in pair]
    asked = said[0].max(axis=1) < sure
    assert asked.mean() == pytest.approx(share, abs=0.05)
    np.testing.assert_array_equal(run(made.path, "asked", images), asked)
    mean = np.sqrt(said[0] * said[1])  # geometric
    expected = np.where(asked[:, None], mean / mean.sum(axis=1, keepdims=True), said[0])
    got = softmax(run(made.path, "logits", images), axis=1)
    np.testing.assert_allclose(got, expected, atol=1e-5)
    maps = [run(path, "maps", images) / TEMPERATURES[path.stem] for path in pair]
    expected = np.where(asked[:, None, None, None], (maps[0] + maps[1]) / 2, maps[0])
    np.testing.assert_allclose(run(made.path, "maps", images), expected, rtol=1e-4, atol=1e-4)


def test_a_plain_one_has_a_say_in_which_digit_it_is(
    pair: tuple[Path, Path], optdigits: Any, tmp_path: Path
) -> None:
    images = optdigits[0][:300]
    sure = doubting(pair[0], images, 0.5)
    plain = model(tmp_path, "plain", outliers=0)
    two = softmax(run(join(*pair, tmp_path / "2.onnx", sure=sure).path, "logits", images), axis=1)
    made = join(*pair, tmp_path / "3.onnx", plain=plain, sure=sure)
    three = softmax(run(made.path, "logits", images), axis=1)
    asked = run(made.path, "asked", images)
    np.testing.assert_allclose(three[~asked], two[~asked], atol=1e-6)
    np.testing.assert_allclose(three[:, 10], two[:, 10], atol=1e-5)  # it knows nothing of that
    told = softmax(run(plain, "logits", images) / TEMPERATURES["plain"], axis=1)
    digits = two[:, :10] ** (1 - PLAIN_SHARE) * told**PLAIN_SHARE
    expected = digits / digits.sum(axis=1, keepdims=True) * two[:, :10].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(three[asked, :10], expected[asked], atol=1e-5)
    with pytest.raises(UsageError, match="digits alone"):
        join(*pair, tmp_path / "4.onnx", plain=pair[0])


def test_it_is_a_model_like_any(pair: tuple[Path, Path], optdigits: Any, tmp_path: Path) -> None:
    images = optdigits[0][:50]
    made = join(*pair, tmp_path / "new folder" / "both.onnx", sure=SURE)
    classifier = Classifier.open(made.path)
    assert classifier.card.temperature == 1
    assert classifier.card.trained["cascade"] == {"sure": SURE, "asked": made.asked}
    assert classifier.card.trained["validation"]["n"] == made.validation.n == 140
    together = classifier.probabilities(images)
    np.testing.assert_allclose(
        np.concatenate([classifier.probabilities(image[None]) for image in images]),
        together,
        atol=1e-5,
    )
    assert classifier.logits(images[:0]).shape == (0, 11)
    assert len(Reader(made.path).classify(images)) == 50
    assert [path.name for path in made.path.parent.iterdir()] == ["both.onnx"]  # and no draft


def test_models_in_8_bits_go_together(
    pair: tuple[Path, Path], optdigits: Any, tmp_path: Path
) -> None:
    small = [tmp_path / f"{path.stem}.onnx" for path in pair]
    for exact, path in zip(pair, small, strict=True):
        eight_bits.write(exact, path, np.array_split(optdigits[0][:300], 3))
    made = join(small[0], small[1], tmp_path / "both.onnx", sure=SURE)
    images = optdigits[0][300:400]
    asked = run(made.path, "asked", images)
    by_quick = run(small[0], "logits", images) / TEMPERATURES["quick"]
    np.testing.assert_allclose(
        run(made.path, "logits", images)[~asked], by_quick[~asked], atol=1e-4
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"labels": (*LABELS[:9], "A")}, "same labels"),
        ({"fold": 1}, "held out other images"),
        ({"validation": 0, "temperature": 1.0}, "held out other images"),
        ({"outliers": 0}, "what is no digit"),
        ({"replay": "mnist"}, "held out other images"),
    ],
)
def test_models_that_do_not_go_together_are_refused(
    pair: tuple[Path, Path], changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    other = model(tmp_path, "thorough", **changes)
    with pytest.raises(UsageError, match=said):
        join(pair[0], other, tmp_path / "both.onnx")
    assert not (tmp_path / "both.onnx").exists()


def test_models_that_were_corrected_are_judged_by_what_they_knew(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    corrected = model(tmp_path, "thorough", dataset="folder:corrections", replay="optdigits")
    assert join(pair[0], corrected, tmp_path / "both.onnx").validation.n == 140


def test_models_of_other_labels_than_the_dataset_s_are_refused(tmp_path: Path) -> None:
    letters = tuple("ABCDEFGHIJ")
    quick, thorough = (model(tmp_path, name, labels=letters) for name in ("quick", "thorough"))
    with pytest.raises(UsageError, match="what they were trained on"):
        join(quick, thorough, tmp_path / "both.onnx")


def test_the_command_says_how_often_the_others_are_asked(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "both.onnx"
    command = ["cascade", *map(str, pair), "-o", str(out), "--sure", str(SURE)]
    result = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert result.exit_code == 0
    asked = Classifier.open(out).card.trained["cascade"]["asked"]
    assert f"in doubt about {100 * asked:.1f}% of them" in result.stdout
