"""Visual tokens against words: Align, cosine, TACS, modality gap, matching pursuit, norms."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from diglot.core.result import Estimate, Measure
from diglot.measure.items import ScoredItem, mean_chance, summarise_items
from diglot.measure.named_objects import NamedObject
from diglot.measure.projected import ProjectedSample
from diglot.measure.word_space import WordSpace
from diglot.metrics.align import RULES, Rule, align_iou
from diglot.metrics.bootstrap import mean_interval
from diglot.metrics.iou import cells_iou
from diglot.metrics.matching_pursuit import matching_pursuit
from diglot.metrics.modality_gap import nearest_distance
from diglot.metrics.tacs import token_consistency
from diglot.models.words import label_ids

PURSUED_TOKENS = 1024  # together, at least

ALIGN = (
    "Align(V, W) of Patch-aligned: the visual tokens whose cosine with a label's embedding exceeds "
    "a threshold are the predicted mask, its IoU with the true mask is the score, the mean over "
    "objects the value. The paper calls the threshold adaptive and does not define it; the rule "
    "used stands in the options. Chance is the IoU of the whole picture. No language model runs."
)
COSINE = (
    "The cosine of an object's label with the mean of the visual tokens on it (cells whose centre "
    "lies on the object, or else those that touch it), mean over objects: Patch-aligned, Table 3. "
    "The patch-aligned objective is trained on this very figure."
)
TACS = (
    "Token Alignment Consistency Score of SEA (Eq. 14): of each image the ten visual tokens that "
    "lie nearest to a token of its caption, their mean cosine with it; mean over images."
)
GAP = (
    "Modality gap D of SEA (Eq. 5): the mean Euclidean distance of a visual token to the nearest "
    "word, over the word list of the options; in units of the embeddings, so a projector whose "
    "tokens are merely shorter has a smaller one: read it beside the norm ratio."
)
PURSUIT = (
    "Matching pursuit of Patch-aligned (Algorithm 1) over all sub-tokens of the language model, at "
    "length 1: the share of a visual token's length that is left after the steps of the options."
)
NORMS = "The mean length of a visual token over the mean length of the LLM's sub-token embeddings."


def measure_objects(
    objects: Iterable[NamedObject], rule: Rule | float, rng: np.random.Generator, draws: int
) -> list[Measure]:
    """Align, with its mean by every rule in the details, and the cosine of label and object."""
    align, cosine, made = [], [], []
    by_rule: dict[str, list[float]] = {f"by the rule {other}": [] for other in RULES}
    for o in objects:  # one at a time is in memory
        for other, of_rule in zip(RULES, by_rule.values(), strict=True):
            of_rule.append(align_iou(o.flat_cosine_P, o.target, other))
        iou = align_iou(o.flat_cosine_P, o.target, rule)
        align.append(ScoredItem(o.scene, o.group, iou, _whole_image_iou(o)))
        cosine.append(ScoredItem(o.scene, o.group, o.label_cosine, 0.0))
    for key, title, what, unit, items in (
        ("align", "Align(V, W)", ALIGN, "IoU", align),
        ("label_cosine", "Cosine of object and label", COSINE, "cosine", cosine),
    ):
        estimate, groups = summarise_items(items, generator=rng, draws=draws)
        chance = mean_chance(items) if key == "align" else None
        rules = {name: float(np.mean(ious)) for name, ious in by_rule.items() if ious}
        details = rules if key == "align" else {}
        made.append(
            _make_measure(key, title, what, unit, estimate, True, chance, details, groups=groups)
        )
    return made


def _whole_image_iou(named: NamedObject) -> float:
    """The IoU of all cells with the object."""
    return cells_iou(np.ones(len(named.flat_cosine_P), dtype=bool), named.target)


def measure_consistency(
    scenes: Sequence[ProjectedSample],
    space: WordSpace,
    k: int,
    rng: np.random.Generator,
    draws: int,
) -> Measure:
    """TACS over images with a caption."""
    tokenizer = space.language.tokenizer
    scores: dict[int, float] = {}
    for number, scene in enumerate(scenes):
        ids = list(label_ids(scene.sample.caption, tokenizer, leading_space=False))
        score = token_consistency(_visual_array(scene), space.token_VD[ids], k=k)
        if score is not None:
            scores[number] = score
    estimate = mean_interval(list(scores.values()), list(scores), generator=rng, draws=draws)
    return _make_measure("tacs", "Token alignment consistency", TACS, "cosine", estimate, True)


def measure_gap(
    scenes: Sequence[ProjectedSample], space: WordSpace, rng: np.random.Generator, draws: int
) -> Measure:
    """The modality gap, over all visual tokens; images are what is drawn again."""
    distance = [
        nearest_distance(_visual_array(s), space.word_WD) for s in scenes if len(space.words)
    ]
    estimate = _mean_of_tokens(distance, rng, draws)
    details = {"words": len(space.words)}
    return _make_measure(
        "modality_gap", "Modality gap", GAP, "distance", estimate, False, None, details
    )


def measure_pursuit(
    scenes: Sequence[ProjectedSample],
    space: WordSpace,
    steps: int,
    rng: np.random.Generator,
    draws: int,
) -> Measure:
    """What matching pursuit leaves of a token."""
    left = _pursue_scenes(scenes, space, steps)
    estimate = _mean_of_tokens([of_scene[:, -1] for of_scene in left], rng, draws)
    mean_K = np.concatenate(left).mean(axis=0).tolist() if left else []
    details = {f"left after step {k + 1}": mean for k, mean in enumerate(mean_K)}
    title = "Left by matching pursuit"
    return _make_measure("pursuit_left", title, PURSUIT, "share", estimate, False, None, details)


def _pursue_scenes(
    scenes: Sequence[ProjectedSample], space: WordSpace, steps: int
) -> list[np.ndarray]:
    """What every step leaves of every token (P, K), by scene; several scenes share a pass over the
    vocabulary, which is most of the cost."""
    left: list[np.ndarray] = []
    batch: list[np.ndarray] = []
    for number, scene in enumerate(scenes, start=1):
        batch.append(_visual_array(scene))
        lengths = [len(visual_PD) for visual_PD in batch]
        if sum(lengths) >= PURSUED_TOKENS or number == len(scenes):
            found = matching_pursuit(np.concatenate(batch), space.token_VD, steps=steps)
            left += np.split(found.left_PK, np.cumsum(lengths)[:-1])
            batch = []
    return left


def measure_norms(
    scenes: Sequence[ProjectedSample], space: WordSpace, rng: np.random.Generator, draws: int
) -> Measure:
    """The length of visual tokens against that of words."""
    word = float(np.linalg.norm(space.token_VD, axis=1).mean())
    length = [np.linalg.norm(_visual_array(scene), axis=1) for scene in scenes]
    estimate = _mean_of_tokens([of_scene / word for of_scene in length], rng, draws)
    mean = float(np.concatenate(length).mean()) if length else 0.0
    details = {"length of a visual token": mean, "length of a word": word}
    return _make_measure(
        "norm_ratio", "Length over words", NORMS, "ratio", estimate, None, None, details
    )


def _visual_array(scene: ProjectedSample) -> np.ndarray:
    return scene.visual_PD.detach().float().cpu().numpy()


def _mean_of_tokens(
    value_NP: Sequence[np.ndarray], rng: np.random.Generator, draws: int
) -> Estimate:
    """The mean over all tokens of all images; n is the number of tokens."""
    image = np.repeat(np.arange(len(value_NP)), [len(v) for v in value_NP])
    values = np.concatenate(value_NP) if value_NP else np.zeros(0)
    return mean_interval(values, image, generator=rng, draws=draws)


def _make_measure(
    key: str,
    title: str,
    what: str,
    unit: str,
    estimate: Estimate,
    higher: bool | None,
    chance: float | None = None,
    details: Mapping[str, float] | None = None,
    groups: dict[str, Estimate] | None = None,
) -> Measure:
    return Measure(
        key=key,
        title=title,
        what=what,
        unit=unit,
        higher_is_better=higher,
        chance=chance,
        estimate=estimate,
        groups=groups or {},
        details=details or {},
    )
