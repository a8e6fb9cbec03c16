"""How training digits are varied: against SciPy, by hand, and the same on every backend."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any, cast

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
keras = pytest.importorskip("keras", reason="training needs the extra: pip install '.[train]'")

from digitreader.errors import UsageError  # noqa: E402
from digitreader.glyphs import is_glyph  # noqa: E402
from digitreader.training import flags, harms, warps  # noqa: E402
from digitreader.training.augment import HARM, NUMBERS, draw, moved, stroked, vary  # noqa: E402
from digitreader.training.batches import Batches, fed, harmed_images, varied_images  # noqa: E402
from digitreader.training.datasets import Split  # noqa: E402
from digitreader.training.recipes import Recipe  # noqa: E402
from digitreader.training.teacher import Teacher  # noqa: E402
from digitreader.training.warps import Warp  # noqa: E402

LABELS = tuple("0123456789")
RECIPE = Recipe(dataset="optdigits", batch_size=64)


def varied(warp: Warp, images: Any, draws: Any) -> Any:
    return keras.ops.convert_to_numpy(vary(warp, np.float32(1 / 255) * images, draws))


@pytest.mark.parametrize("name", list(warps.WARPS))
def test_the_same_draws_give_the_same_images(name: str, optdigits: Any) -> None:
    images = optdigits[0][:40]
    draws = draw(40, np.random.default_rng(5))
    once, again = (varied(warps.named(name), images, draws) for _ in range(2))
    np.testing.assert_array_equal(once, again)
    assert once.shape == images.shape
    assert 0 <= once.min() <= once.max() <= 1
    changed = (np.abs(once - images / 255) > 0.02).any(axis=(1, 2)).mean()
    assert changed == 0 if name == "none" else changed > 0.8


def test_an_unknown_augmentation_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="strong"):
        warps.named("stronger")


def test_draws_fill_their_range() -> None:
    draws = draw(1000, np.random.default_rng(0))
    assert draws.shape == (1000, NUMBERS)
    assert -1 <= draws.min() < -0.99
    assert 0.99 < draws.max() <= 1


def test_shifts_reach_their_bound_and_go_no_further() -> None:
    dot = np.zeros((500, 28, 28), np.float32)
    dot[:, 14, 14] = 1
    steps = draw(500, np.random.default_rng(0))[:, :2]
    _, rows, columns = np.nonzero(keras.ops.convert_to_numpy(moved(dot, steps, 2)))
    assert len(rows) == 500
    assert set(rows) == set(columns) == {12, 13, 14, 15, 16}


@pytest.mark.parametrize("turn", [1.0, -0.4])
def test_a_rotation_turns_as_far_as_an_independent_one(turn: float) -> None:
    from scipy.ndimage import rotate

    bar = np.zeros((1, 28, 28), np.uint8)
    bar[0, 4:24, 12:16] = 255
    bar[0, 4:8, 12:22] = 255
    draws = np.zeros((1, NUMBERS), np.float32)
    draws[:, 1] = turn
    turned = 255 * varied(Warp(rotation=30), bar, draws)[0]
    oracle = rotate(bar[0].astype(float), 30 * turn, reshape=False, order=1)
    assert np.abs(turned - oracle).mean() < 1


@pytest.mark.parametrize(("column", "knob"), [(2, "zoom"), (3, "stretch"), (4, "shear")])
def test_sizes_change_as_their_matrix_says(column: int, knob: str, optdigits: Any) -> None:
    from scipy.ndimage import affine_transform

    image = optdigits[0][3]
    draws = np.zeros((1, NUMBERS), np.float32)
    draws[:, column] = 0.5
    matrix = {"zoom": np.eye(2) * 1.1, "stretch": np.diag([1.1**-0.5, 1.1**0.5]),
              "shear": np.array([[1, 0], [0.1, 1]])}[knob]  # fmt: skip
    warp = {"zoom": Warp(zoom=0.2), "stretch": Warp(stretch=0.2), "shear": Warp(shear=0.2)}[knob]
    middle = np.array([13.5, 13.5])
    oracle = affine_transform(image.astype(float), matrix, middle - matrix @ middle, order=1)
    got = 255 * varied(warp, image[None], draws)[0]
    assert np.abs(got - oracle).mean() < 1


def test_elastic_bends_less_than_it_may(optdigits: Any) -> None:
    ramp = np.tile(np.arange(28, dtype=np.uint8) * 9, (50, 28, 1))
    bent = 255 / 9 * varied(Warp(elastic=1.5), ramp, draw(50, np.random.default_rng(0)))
    inside = np.abs(bent - np.arange(28))[:, 4:-4, 4:-4]
    assert 1 < inside.max() < 2.2  # cubic interpolation overshoots its nodes a little
    assert 0.2 < inside.mean() < 1


def test_thicker_strokes_have_more_ink_and_thinner_less(optdigits: Any) -> None:
    from scipy.ndimage import grey_dilation

    image = np.float32(1 / 255) * optdigits[0][:1]
    edges = [np.array([e], np.float32) for e in (-0.5, 0.5, 1)]
    thin, thick, thickest = (keras.ops.convert_to_numpy(stroked(image, edge)) for edge in edges)
    assert thin.sum() < image.sum() < thick.sum() < thickest.sum()
    cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]])
    np.testing.assert_allclose(thickest[0], grey_dilation(image[0], footprint=cross), atol=1e-6)


def test_what_is_erased_is_a_square_of_bounded_size() -> None:
    full = np.full((300, 28, 28), 255, np.uint8)
    gone = varied(Warp(erased=0.5), full, draw(300, np.random.default_rng(0))) == 0
    tall, wide = gone.any(axis=2).sum(axis=1), gone.any(axis=1).sum(axis=1)
    assert 12 <= max(tall.max(), wide.max()) <= 14
    np.testing.assert_array_equal(gone.sum(axis=(1, 2)), tall * wide)


def test_noise_and_fading_are_as_strong_as_said() -> None:
    grey = np.full((400, 28, 28), 128, np.uint8)
    draws = draw(400, np.random.default_rng(0))
    noise = varied(Warp(noise=0.1), grey, draws).std(axis=(1, 2))  # [N]
    assert np.corrcoef(noise, draws[:, 9])[0, 1] > 0.99
    assert 0.09 < noise.max() < 0.11
    faded = varied(Warp(fading=0.4), grey, draws).mean(axis=(1, 2)) / (128 / 255)
    assert 0.6 <= faded.min() < 0.62
    assert 0.98 < faded.max() <= 1


def test_another_backend_varies_images_in_the_same_way(optdigits: Any, tmp_path: Any) -> None:
    other = "jax" if keras.backend.backend() != "jax" else "tensorflow"
    pytest.importorskip(other, reason=f"needs {other}: pip install {other}")
    images, draws = optdigits[0][:64], draw(64, np.random.default_rng(1))
    np.savez(tmp_path / "in.npz", images=images, draws=draws)
    code = """
import sys, keras, numpy as np
from digitreader.training import harms
from digitreader.training.augment import vary
from digitreader.training.warps import named
with np.load(sys.argv[1] + "/in.npz") as given:
    varied = vary(named("strong"), np.float32(1 / 255) * given["images"], given["draws"])
    varied = harms.harmed(varied, given["draws"][:, 10], 0.5)
np.save(sys.argv[1] + "/out.npy", keras.ops.convert_to_numpy(varied))
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True,
                   env={**os.environ, "KERAS_BACKEND": other})  # fmt: skip
    ours = harms.harmed(varied(warps.named("strong"), images, draws), draws[:, HARM], 0.5)
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), ours, atol=2e-4)


# --- batches ------------------------------------------------------------------------------------


def test_batches_are_the_same_wherever_they_start(optdigits: Any) -> None:
    split = Split(*optdigits)
    whole, late = (Batches(split, LABELS, RECIPE) for _ in range(2))
    late.first_epoch = 2
    steps = len(split) // 64
    for step in (0, 5, steps - 1):
        (a, targets), (b, same) = whole[2 * steps + step], late[step]
        np.testing.assert_array_equal(a["rows"], b["rows"])
        np.testing.assert_array_equal(a["draws"], b["draws"])
        np.testing.assert_array_equal(targets, same)


def test_an_epoch_shows_every_image_once(optdigits: Any) -> None:
    batches = Batches(Split(*optdigits), LABELS, RECIPE)
    steps = len(optdigits[0]) // 64
    rows = np.concatenate([batches[i][0]["rows"] for i in range(steps)])
    assert len(set(rows)) == len(rows) == 64 * steps
    assert set(rows) < set(range(len(optdigits[0])))


def test_only_ones_are_flagged(optdigits: Any) -> None:
    images, targets = optdigits
    recipe = RECIPE.with_changes(augment="none", flagged_ones=1.0)
    batches = Batches(Split(images, targets), LABELS, recipe)
    seen, hot = batches[0]
    plain, _ = Batches(Split(images, targets), LABELS, recipe.with_changes(flagged_ones=0.0))[0]
    changed = (batches.images[seen["rows"]] != images[plain["rows"]]).any(axis=(1, 2))
    assert changed[hot[:, 1] == 1].mean() > 0.7
    assert not changed[hot[:, 1] == 0].any()


def test_a_teacher_is_not_asked_about_flagged_ones(optdigits: Any) -> None:
    class Doubter:
        """Gives every class the same, and knows plain digits only."""

        knows_harm = knows_flags = False

        def opinion(self, view: int, rows: Any, draws: Any) -> Any:
            return np.full((len(rows), 10), 0.1, np.float32)

    recipe = RECIPE.with_changes(flagged_ones=0.5, views=1, taught=1.0)
    batches = Batches(Split(*optdigits), LABELS, recipe)
    batches.teacher = cast(Teacher, Doubter())
    for step in range(5):
        seen, targets = batches[step]
        swapped = seen["rows"] >= len(optdigits[0])
        assert swapped.any()
        np.testing.assert_array_equal(targets[swapped], np.eye(10)[[1] * swapped.sum()])
        np.testing.assert_allclose(targets[~swapped], 0.1)


def test_a_student_s_images_are_harmed_as_its_teacher_saw_them(optdigits: Any) -> None:
    size = RECIPE.batch_size
    kinds = harms.kinds(size, 0.5)

    class Witness:
        """Tells in its labels which image it saw, and with which harm."""

        knows_harm = knows_flags = True

        def opinion(self, view: int, rows: Any, draws: Any) -> Any:
            said = np.zeros((len(rows), 10), np.float32)
            said[:, 0], said[:, 1] = rows, kinds[np.arange(len(rows)) % size]
            return said

    recipe = RECIPE.with_changes(harmed=0.5, flagged_ones=0.5, views=2, taught=1.0)
    seeds = [Batches(Split(*optdigits), LABELS, recipe.with_changes(seed=seed)) for seed in (0, 1)]
    for batches in seeds:
        batches.teacher = cast(Teacher, Witness())
        for step in (0, 1, 7):
            seen, told = batches[step]
            np.testing.assert_array_equal(told[:, 0], seen["rows"])
            np.testing.assert_array_equal(told[:, 1], kinds)
    first, second = (batches[0][0]["rows"] for batches in seeds)
    assert (first != second).any()
    assert kinds.max() == len(harms.HARMS)


def test_a_network_is_fed_what_its_rows_and_draws_say(optdigits: Any) -> None:
    images = optdigits[0][:100]
    seen = keras.Input((28, 28, 1))
    through = keras.Model(seen, keras.layers.Reshape((28, 28))(seen))
    rows, draws = np.arange(40, 80, dtype=np.int32), draw(40, np.random.default_rng(2))
    expected = varied(warps.named("strong"), images[rows], draws)
    harm = harms.harmed(expected, draws[:, HARM], 0.5)
    for share, wanted in ((0.0, expected), (0.5, harm)):
        seen = harmed_images(varied_images(images, warps.named("strong")), share)
        trainer = fed(through, seen, steps=1)
        got = trainer.predict({"rows": rows, "draws": draws}, batch_size=40, verbose=0)
        np.testing.assert_allclose(got, wanted, atol=1e-4)
    assert np.abs(harm - expected).max() > 0.1


# --- flagged ones -------------------------------------------------------------------------------


def test_flagged_ones_are_glyphs_and_most_are_wider(mnist: Any) -> None:
    images, targets = mnist
    ones = images[targets == 1][:600]
    upright = (ones > 127).any(axis=1).sum(axis=1) < 7  # [N]: few columns have ink
    ones = ones[upright]
    flagged = flags.flagged(ones, np.random.default_rng(0))
    assert len(ones) > 100
    assert np.mean([is_glyph(one.astype(np.float32) / 255) for one in flagged]) > 0.95
    more = (flagged > 127).any(axis=1).sum(axis=1) - (ones > 127).any(axis=1).sum(axis=1)
    assert (more >= 2).mean() > 0.7  # every seventh stays plain, and some pens are thinner


def test_a_flag_leads_down_to_the_left_from_the_top() -> None:
    stem = np.zeros((28, 28), np.uint8)
    stem[4:24, 13:15] = 255
    flag = flags._with_flag(stem, angle=np.pi / 4, length=0.4, foot=0.0) > stem
    rows, columns = np.nonzero(flag)
    assert columns.max() <= 16
    assert 6 <= 13 - columns.min() <= 9  # 0.4 × 20 px × cos 45° = 5.7, and the pen
    assert rows.min() >= 3
    assert rows.max() <= 13
    foot = flags._with_flag(stem, angle=np.pi / 4, length=0.1, foot=0.3)
    assert foot[22, 8:20].all()
