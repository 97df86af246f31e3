"""Region matching and region naming: does the LLM read a name out of an object's visual tokens?

Protocol of our own, after the entity loss of MMCS (Eq. 4) turned into a choice. Two prompts: the
object's tokens alone, and the whole image with a sentence that no objective was trained on.
"""

from collections.abc import Callable, Sequence

import numpy as np

from diglot.core.result import Measure
from diglot.core.segments import Patches, Segment, Tokens
from diglot.core.types import Region
from diglot.measure.config import MeasureConfig
from diglot.measure.items import mean_chance, summarise
from diglot.measure.likelihood import Question, without_image
from diglot.measure.plan import Answers, Plan
from diglot.measure.projected import ProjectedSample, object_tokens
from diglot.measure.region_table import Row, matching_items, naming_items
from diglot.measure.region_texts import ALONE, UNSEEN_PROMPT, Texts
from diglot.metrics.name_score import LENGTHS, name_scores
from diglot.models.prompt import beginning, opening, tokenize
from diglot.models.vlm import VLM
from diglot.models.words import label_ids

Trunk = Callable[[Patches], tuple[Segment, ...]]


def plan_alone(
    vlm: VLM,
    held_out: Sequence[ProjectedSample],
    names: Sequence[str],
    config: MeasureConfig,
    generator: np.random.Generator,
) -> Plan:
    """Matching and naming from the object's tokens alone: [BOS] v_object name."""
    start = Tokens(beginning(config.frame, vlm.language.tokenizer))
    regions = _Regions(vlm, held_out[: config.region_scenes], names, config, generator, ALONE)
    return regions.plan(lambda patches: (start, patches))


def plan_unseen_prompt(
    vlm: VLM,
    held_out: Sequence[ProjectedSample],
    names: Sequence[str],
    config: MeasureConfig,
    generator: np.random.Generator,
) -> Plan:
    """The same behind the whole image: [BOS] V sentence v_object sentence name."""
    tokenizer = vlm.language.tokenizer
    start = opening(config.frame, tokenizer, image=True)
    before, after = (Tokens(tokenize(text, tokenizer).ids) for text in config.unseen_prompt)
    scenes = held_out[: config.unseen_prompt_scenes]
    regions = _Regions(vlm, scenes, names, config, generator, UNSEEN_PROMPT)
    return regions.plan(lambda patches: (*start, before, patches, after))


class _Regions:
    """The regions of some scenes under one prompt: what is asked, and what the answers say."""

    def __init__(
        self,
        vlm: VLM,
        held_out: Sequence[ProjectedSample],
        names: Sequence[str],
        config: MeasureConfig,
        generator: np.random.Generator,
        texts: Texts,
    ) -> None:
        self.names, self.config, self.generator, self.texts = names, config, generator, texts
        self.places: list[tuple[int, ProjectedSample, Region, Patches]] = []
        self.without_tokens = 0
        for scene, projected in enumerate(held_out):
            self._add(scene, projected)
        own = (region.name for _, _, region, _ in self.places)
        self.ids = {name: label_ids(name, vlm.language.tokenizer) for name in (*names, *own)}

    def _add(self, scene: int, projected: ProjectedSample) -> None:
        for region in projected.sample.regions:
            tokens = object_tokens(projected.grid, region)
            if tokens:
                self.places.append((scene, projected, region, Patches(tokens)))
            else:
                self.without_tokens += 1

    def plan(self, trunk: Trunk) -> Plan:
        """One question per region; last, what words alone expect of every candidate."""
        asked = [self._asked(scene) for scene, *_ in self.places]
        questions = [
            Question(trunk(patches), tuple(self.ids[name] for name in asks), projected)
            for (_, projected, _, patches), asks in zip(self.places, asked, strict=True)
        ]
        if questions:
            every = tuple(self.ids[name] for name in self.names)
            questions.append(without_image(Question(trunk(Patches(())), every)))

        def conclude(answers: Answers) -> list[Measure]:
            rows = [
                Row(scene, region, dict(zip(asks, answer.tolist(), strict=True)))
                for (scene, _, region, _), asks, answer in zip(
                    self.places, asked, answers[:-1], strict=True
                )
            ]
            prior = answers[-1] if answers else np.zeros(len(self.names))
            return [self._matching(rows), self._naming(rows, prior)]

        return Plan(self.texts.plan, tuple(questions), conclude)

    def _asked(self, scene: int) -> list[str]:
        """All candidates of naming, and the scene's own names beside them."""
        own = (region.name for at, _, region, _ in self.places if at == scene)
        return list(dict.fromkeys((*self.names, *own)))

    def _matching(self, rows: Sequence[Row]) -> Measure:
        items = matching_items(rows)
        draws = self.config.bootstrap_draws
        estimate, groups = summarise(items, generator=self.generator, draws=draws)
        return Measure(
            key=self.texts.matching_key,
            title=self.texts.matching_title,
            what=self.texts.matching,
            unit="accuracy",
            higher_is_better=True,
            chance=mean_chance(items),
            estimate=estimate,
            groups=groups,
            details={"regions without visual tokens": self.without_tokens},
        )

    def _naming(self, rows: Sequence[Row], prior: np.ndarray) -> Measure:
        named = [row for row in rows if row.region.name in self.names]
        table = np.array([[row.log_prob[name] for name in self.names] for row in named])
        table = table.reshape(len(named), len(self.names))
        lengths = np.array([len(self.ids[name]) for name in self.names])
        regions = [(row.scene, row.region) for row in named]
        by_length = {
            how: naming_items(regions, self.names, name_scores(table, prior, lengths, how))
            for how in LENGTHS
        }
        items, draws = by_length[self.config.length], self.config.bootstrap_draws
        estimate, groups = summarise(items, generator=self.generator, draws=draws)
        details: dict[str, float] = {"candidates": len(self.names)}
        details["regions of another name"] = len(rows) - len(named)
        if items:
            means = {how: np.mean([item.value for item in by_length[how]]) for how in LENGTHS}
            details |= {f"accuracy, {how}": float(mean) for how, mean in means.items()}
        return Measure(
            key=self.texts.naming_key,
            title=self.texts.naming_title,
            what=self.texts.naming(self.config.length),
            unit="accuracy",
            higher_is_better=True,
            chance=mean_chance(items),
            estimate=estimate,
            groups=groups,
            details=details,
        )
