"""Region matching and region naming: does the LLM read a name out of an object's visual tokens?

Protocol of our own, after the entity loss of MMCS (Eq. 4) turned into a choice. Two prompts: the
object's tokens alone, and the whole image with a sentence that no objective was trained on.
"""

from collections.abc import Callable, Sequence

import numpy as np

from diglot.core.result import Measure
from diglot.core.segments import Patches, Segment
from diglot.core.types import Region
from diglot.measure.items import mean_chance, summarise_items
from diglot.measure.likelihood import LikelihoodQuestion, without_image
from diglot.measure.plan import Answers, Plan, Subject
from diglot.measure.projected import ProjectedSample, object_tokens
from diglot.measure.region_table import RegionRow, matching_items, naming_items
from diglot.measure.region_texts import Texts
from diglot.metrics.name_score import LENGTHS, Length, name_scores
from diglot.models.words import label_ids

Trunk = Callable[[Patches], tuple[Segment, ...]]


class RegionQuestions:
    """The regions of some scenes under one prompt: what is asked, and what the answers say."""

    def __init__(
        self,
        subject: Subject,
        scenes: int,
        length: Length,
        generator: np.random.Generator,
        texts: Texts,
    ) -> None:
        self.names, self.generator, self.texts = subject.names, generator, texts
        self.length: Length = length
        self.draws = subject.options.bootstrap_draws
        self.places: list[tuple[int, ProjectedSample, Region, Patches]] = []
        self.without_tokens = 0
        for scene, projected in enumerate(subject.held_out[:scenes]):
            self._add_scene(scene, projected)
        own = (region.name for _, _, region, _ in self.places)
        tokenizer = subject.vlm.language.tokenizer
        self.ids = {name: label_ids(name, tokenizer) for name in (*self.names, *own)}

    def _add_scene(self, scene: int, projected: ProjectedSample) -> None:
        for region in projected.sample.regions:
            tokens = object_tokens(projected.grid, region)
            if tokens:
                self.places.append((scene, projected, region, Patches(tokens)))
            else:
                self.without_tokens += 1

    def plan(self, trunk: Trunk) -> Plan:
        """One question per region; last, what words alone expect of every candidate."""
        asked = [self._list_candidates(scene) for scene, *_ in self.places]
        questions = [
            LikelihoodQuestion(trunk(patches), tuple(self.ids[name] for name in asks), projected)
            for (_, projected, _, patches), asks in zip(self.places, asked, strict=True)
        ]
        if questions:
            every = tuple(self.ids[name] for name in self.names)
            questions.append(without_image(LikelihoodQuestion(trunk(Patches(())), every)))

        def conclude(answers: Answers) -> list[Measure]:
            rows = [
                RegionRow(scene, region, dict(zip(asks, answer.tolist(), strict=True)))
                for (scene, _, region, _), asks, answer in zip(
                    self.places, asked, answers[:-1], strict=True
                )
            ]
            prior = answers[-1] if answers else np.zeros(len(self.names))
            return [self._measure_matching(rows), self._measure_naming(rows, prior)]

        return Plan(self.texts.plan, tuple(questions), conclude)

    def _list_candidates(self, scene: int) -> list[str]:
        """All candidates of naming, and the scene's own names beside them."""
        own = (region.name for at, _, region, _ in self.places if at == scene)
        return list(dict.fromkeys((*self.names, *own)))

    def _measure_matching(self, rows: Sequence[RegionRow]) -> Measure:
        items = matching_items(rows)
        estimate, groups = summarise_items(items, generator=self.generator, draws=self.draws)
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

    def _measure_naming(self, rows: Sequence[RegionRow], prior: np.ndarray) -> Measure:
        named = [row for row in rows if row.region.name in self.names]
        table = np.array([[row.log_prob[name] for name in self.names] for row in named])
        table = table.reshape(len(named), len(self.names))
        lengths = np.array([len(self.ids[name]) for name in self.names])
        regions = [(row.scene, row.region) for row in named]
        by_length = {
            how: naming_items(regions, self.names, name_scores(table, prior, lengths, how))
            for how in LENGTHS
        }
        items = by_length[self.length]
        estimate, groups = summarise_items(items, generator=self.generator, draws=self.draws)
        details: dict[str, float] = {"candidates": len(self.names)}
        details["regions of another name"] = len(rows) - len(named)
        if items:
            means = {how: np.mean([item.value for item in by_length[how]]) for how in LENGTHS}
            details |= {f"accuracy, {how}": float(mean) for how, mean in means.items()}
        return Measure(
            key=self.texts.naming_key,
            title=self.texts.naming_title,
            what=self.texts.naming(self.length),
            unit="accuracy",
            higher_is_better=True,
            chance=mean_chance(items),
            estimate=estimate,
            groups=groups,
            details=details,
        )
