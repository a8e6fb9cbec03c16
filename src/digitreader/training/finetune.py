"""Fine-tuning: a trained network learns a few dozen images more, and forgets nothing.

The new images are shown among those it was trained on (replay: Robins 1995, "Catastrophic
forgetting, rehearsal and pseudorehearsal"), at a low learning rate. The weights that this comes
to are mixed with those before, in the least share that keeps what was known (Wortsman et al. 2022,
"Robust fine-tuning of zero-shot models"). How well it learnt is told by cross-validation, for a
few dozen images are too few to hold some out for good.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import keras
import numpy as np
from numpy.typing import NDArray

from digitreader.classifier import SHIPPED, Classifier, shipped_model
from digitreader.errors import DataError, ModelError, StoppedError, UsageError
from digitreader.training import export, networks
from digitreader.training.datasets import Dataset, Split, load, locate
from digitreader.training.epochs import Reporter, Row, Settle
from digitreader.training.finish import Learnt, Run, finish
from digitreader.training.images import Images, images_of
from digitreader.training.own import OWN_KINDS
from digitreader.training.recipes import Recipe, named
from digitreader.training.run_folder import begun, check_folder
from digitreader.training.runtimes import load_network
from digitreader.training.team import Team
from digitreader.training.train import after_epochs, check_batches, fit

log = logging.getLogger(__name__)

Weights = list[NDArray[np.float32]]
FOLDS = 3  # parts of the new images, of which each is read by a network that learnt the others
SHARE = "start_share"  # the history's column: of the weights before in those that are kept
SHARES = tuple(i / 10 for i in range(11))  # that are tried, the least first
SAME = ("network", "augment", "harmed", "flagged_ones", "shifts", "fold")  # as in its own recipe
NO_DOWNLOAD = "optdigits"  # replayed where what the network was trained on is not to be had
FINISHED = {"best.keras": "model.onnx", f"{SHIPPED}.keras": f"{SHIPPED}.onnx"}


def recipe_for(base: Recipe, start_from: str, data_dir: Path | None = None) -> Recipe:
    """Return a recipe that goes on with a network: shown, held out and finished as it was.

    It replays what the network was trained on where that is on this machine, else `optdigits`.
    Of a network that does not tell by which recipe it was trained the default is assumed, aloud.

    Raises:
        ModelError: there is no such network.
    """
    before = _trained_by(network_file(start_from))
    if before is None:
        before = Recipe()
        log.warning(
            "%s: nothing beside it tells how it was trained; taken for the default recipe's, on %s "
            "(--set replay=NAME and --set fold=NUMBER say otherwise)", start_from, before.dataset,
        )  # fmt: skip
    known = before.known
    own = known.partition(":")[0] in OWN_KINDS
    same = {knob: getattr(before, knob) for knob in SAME}
    return base.with_changes(
        start_from=start_from,
        replay=known if own or locate(known, data_dir) else NO_DOWNLOAD,
        outliers=base.replayed // 10 if before.outliers else 0,
        validation=before.validation or base.validation,
        **same,
    )


def network_file(start_from: str) -> Path:
    """Find the `.keras` file of a run's folder, of `shipped`, or the one that is named.

    Raises:
        ModelError: there is none.
    """
    path = Path(start_from)
    if start_from == "shipped":
        path = shipped_model(SHIPPED).with_suffix(".keras")
    elif path.is_dir():
        path /= "best.keras"
    if path.suffix != ".keras" or not path.is_file():
        raise ModelError(
            f"{path}: no network to go on with; expected a run's folder or its best.keras"
        )
    return path


def finetune(  # noqa: PLR0913 (all but the first two by name)
    recipe: Recipe,
    out: Path,
    *,
    resume: bool = False,
    data_dir: Path | None = None,
    fonts: Path | None = None,
    report: Reporter | None = None,
    tensorboard: bool = False,
) -> Run:
    """Teach a network a dataset beside what it knows, by a recipe from `recipe_for`.

    The run's folder and the other arguments are `train`'s. The dataset's classes may be some of
    the network's. The last epoch is the result: the images held out are of what the network
    knew, so the epoch that is best on them would be the one that learnt least. They choose how
    much of it is kept: as much as costs at most `forgotten` of them.

    Raises:
        UsageError: the folder holds a run already and `resume` is not set, or holds none and
            it is; or the dataset has classes that the network has not; or the recipe is of
            another network.
        ModelError: there is no such network, or it does not fit what is to be replayed.
        DataError: a dataset is missing or too small.
        StoppedError: Ctrl-C came before the end of the first epoch.
    """
    recipe = recipe.resolved()
    start = network_file(recipe.start_from)
    _check(recipe, start)
    check_folder(out, recipe, resume)
    known = load(recipe.replay, data_dir)
    new = _new(load(recipe.dataset, data_dir), known.labels)
    images = images_of(known, recipe, fonts)
    network, held = _network(start, images), images.held
    before = network.get_weights()
    right = _right(network, held, images, recipe) if held else None
    with begun(out, recipe, resume):
        rows, interrupted = fit(
            _among(images, new, recipe), recipe, out, start=start, report=report,
            tensorboard=tensorboard,
            settle=partial(_remembering, before, right, images, recipe),
        )  # fmt: skip
        if not rows:
            raise StoppedError(f"no epoch was finished: there is nothing to save in {out}")
        share = rows[-1][SHARE]
        settle = partial(_mix, before, share)
        after = None if interrupted else _crossed(start, images, new, recipe, settle, report)
        learnt = Learnt(
            n=len(new),
            before=_right(network, new, images, recipe),
            after=after,
            known=right / len(held) if held and right is not None else None,
            start_share=share,
        )
        return finish(recipe, images, out, rows, interrupted=after is None, learnt=learnt)


def _check(recipe: Recipe, start: Path) -> None:
    """Say what is misspelt, or would be written down wrong, before there is a folder."""
    before = _trained_by(start)
    if before is not None and recipe.network != before.network:
        raise UsageError(
            f"network is {recipe.network!r}; expected {before.network!r}, which {start} is"
        )
    check_batches(recipe, Team())


def _trained_by(network: Path) -> Recipe | None:
    """The recipe that a network was trained by, as its finished model tells, or a killed run."""
    if network.name not in FINISHED:
        return None
    model, written = (network.with_name(n) for n in (FINISHED[network.name], "recipe.json"))
    if model.is_file():
        told = Classifier.open(model).card.trained.get("recipe")
        return Recipe.from_dict(told) if told else None
    return named(str(written)) if written.is_file() else None


def _network(path: Path, images: Images) -> keras.Model:
    """Load a network, and see that it is one of ours and tells these classes apart."""
    network = load_network(path)
    classes, head = len(images.labels), network.layers[-1].name
    if network.output_shape != (None, classes) or head != "logits":
        raise ModelError(
            f"{path} gives {network.output_shape} from {head!r}; expected (None, {classes}) from "
            f"'logits', to go on with {images.dataset.name} (outliers are a class more)"
        )
    return network


def _new(dataset: Dataset, labels: tuple[str, ...]) -> Split:
    """All images of a dataset, whose classes may be some of the labels, as targets among these."""
    strange = [label for label in dataset.labels if label not in labels]
    if strange:
        raise UsageError(
            f"{dataset.name} has a class {', '.join(strange)}; the network reads {'/'.join(labels)}"
        )
    if len(dataset.train) < FOLDS:
        raise DataError(
            f"{dataset.name} holds {len(dataset.train)} images; expected at least {FOLDS}"
        )
    index = np.array([labels.index(label) for label in dataset.labels])
    return Split(dataset.train.images, index[dataset.train.targets])


def _among(known: Images, new: Split, recipe: Recipe) -> Images:
    """Show new images among the known, each as often as its share asks for; hold nothing out."""
    count = round(recipe.new / (1 - recipe.new) * len(known.kept))
    rows = np.resize(np.arange(len(new)), max(count, len(new)))
    return replace(known, kept=known.kept + new.take(rows), held=None)


def _remembering(
    before: Weights, right: int | None, images: Images, recipe: Recipe, learnt: keras.Model
) -> Row:
    """Mix weights learnt with those before, in the least share that loses next to nothing.

    Next to nothing is `forgotten` of the images held out, of which so many were read right before;
    where there are none, nothing is mixed.
    """
    if images.held is None or right is None:
        return {SHARE: 0.0}
    enough = right - recipe.forgotten * len(images.held)
    after = learnt.get_weights()
    for share in SHARES:
        learnt.set_weights(after)
        _mix(before, share, learnt)
        if _right(learnt, images.held, images, recipe) >= enough:
            break
    return {SHARE: share}


def _mix(before: Weights, share: float, learnt: keras.Model) -> Row:
    """Give the weights before so great a share in a network's."""
    pairs = zip(before, learnt.get_weights(), strict=True)
    learnt.set_weights([share * old + (1 - share) * new for old, new in pairs])
    return {SHARE: share}


def _crossed(  # noqa: PLR0913, PLR0917 (as much as the training itself)
    start: Path, images: Images, new: Split, recipe: Recipe, settle: Settle, report: Reporter | None
) -> int | None:
    """How many new images are read right by networks that learnt only others; None: stopped.

    `settle` is done to each, as to the network that learnt all of them.
    """
    part = np.random.default_rng((recipe.seed, 4)).permutation(len(new)) % FOLDS  # [N]
    right = 0
    for i in range(FOLDS):
        others = _among(images, new.take(part != i), recipe)
        with TemporaryDirectory() as name:
            folder = Path(name)
            _, interrupted = fit(others, recipe, folder, start=start, settle=settle,
                                 report=after_epochs(report, (1 + i) * recipe.epochs))  # fmt: skip
            if interrupted:
                return None
            network = load_network(folder / "best.keras")
        right += _right(network, new.take(part == i), images, recipe)
    return right


def _right(network: keras.Model, split: Split, images: Images, recipe: Recipe) -> int:
    """How many images a network reads right, in the views that it is finished with.

    That they are a digit is given, as it is where a finished run is measured.
    """
    logits = export.logits_of(networks.shifted(network, recipe.shifts), split.images)  # [N, K]
    read = logits[:, : len(images.dataset.labels)].argmax(axis=1)
    return int((read == split.targets).sum())
