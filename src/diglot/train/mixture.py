"""Objectives together: one supplies the sequence, others add their losses or take turns with it.

A stage's `objective` supplies each sample's sequence. What stands under `plus` adds a loss on the
same samples and needs no sequence of its own; what stands under `mix` has a sequence of its own
and takes `share` samples for each one of the objective's (VDEP's text and image mode).
"""

import copy
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedTokenizerFast

from diglot.core.batch import Batch, ForwardOutput, Reads
from diglot.core.errors import ConfigError, DataError
from diglot.core.geometry import TokenGrid
from diglot.core.objective import KINDS, Gather, Objective, Prepared, RecordKind
from diglot.core.segments import Segment
from diglot.core.types import LossTerms, Sample
from diglot.models.language import Language
from diglot.train.config import MixedPart, ObjectivePart
from diglot.train.schedule import Schedule


@dataclass(frozen=True, kw_only=True)
class Member:
    """One objective of a mixture."""

    where: str  # its place in the recipe: objective, plus.NAME or mix.NAME
    objective: Objective
    weight: Schedule
    stream: (
        int | None
    )  # 0 = the main objective, from 1 on those that take turns; None = added to all
    share: float  # of its stream, samples for each sample of the main objective
    names: Mapping[str, str]  # its own loss terms -> their names in the mixture

    def takes(self, stream: int) -> bool:
        """Does a document of this stream concern it?"""
        return self.stream is None or self.stream == stream


class Mixture:
    """A weighted sum of objectives, as the training loop sees it: terms, reads, prepare, loss."""

    def __init__(self, members: Sequence[Member]) -> None:
        self.members = tuple(members)
        self.terms = tuple(name for member in members for name in member.names.values())
        self.reads: frozenset[Reads] = frozenset().union(*(m.objective.reads for m in members))
        self.shares = tuple(m.share for m in members if m.stream)  # of the streams from 1 on
        self.takes = tuple(self._takes(stream) for stream in range(1 + len(self.shares)))
        heads = {m.where.replace(".", "_"): getattr(m.objective, "heads", None) for m in members}
        self.heads = nn.ModuleDict({name: head for name, head in heads.items() if head is not None})

    def _takes(self, stream: int) -> frozenset[RecordKind]:
        """The kinds of record that all objectives of a stream's documents can use."""
        return frozenset(KINDS).intersection(
            *(getattr(m.objective, "takes", KINDS) for m in self.members if m.takes(stream))
        )

    def without_heads(self) -> "Mixture":
        """The same objectives without what they learn of their own: enough to prepare samples."""
        return Mixture([replace(m, objective=_without_heads(m.objective)) for m in self.members])

    def adopt_template(self, language: Language) -> None:
        """Give the language model the chat template that its conversations are learned under.

        Raises ConfigError where two objectives name different ones.
        """
        named = {m.where: getattr(m.objective, "template", None) for m in self.members}
        given = {where: template for where, template in named.items() if template}
        if len(set(given.values())) > 1:
            raise ConfigError(
                "objectives learn under different chat templates", where=", ".join(given)
            )
        for template in set(given.values()):
            language.use_template(template)

    def divisors(self, counts: Mapping[str, float]) -> dict[str, float]:
        """What the summed loss of every term is divided by, given its items in the step."""
        found: dict[str, float] = {}
        for member in self.members:
            own = {name: counts.get(name, 0.0) for name in member.names.values()}
            joint = dict.fromkeys(own, sum(own.values()))
            plain = dict.fromkeys(own, 1.0)
            found |= {"mean": own, "joint": joint, "sum": plain}[member.objective.reduction]
        return found

    def weights_at(self, progress: float) -> dict[str, float]:
        """The weight of every term when `progress` in [0, 1] of the run is done."""
        return {
            name: member.weight.at(progress) * member.objective.weights[term]
            for member in self.members
            for term, name in member.names.items()
        }

    def prepare(
        self,
        sample: Sample,
        grids: Sequence[TokenGrid],
        tokenizer: PreTrainedTokenizerFast,
        rng: torch.Generator,
        *,
        stream: int = 0,
    ) -> Prepared:
        """One sample, prepared by the objective of its stream, with what the others add.

        Raises DataError where no objective has anything to learn, ConfigError where two of them
        supply a sequence, or one that takes turns supplies none.
        """
        sequence, counts, notes = None, Counter[str](), Counter[str]()
        targets: list[Any] = []
        for member in self.members:
            if not member.takes(stream):
                targets.append(None)
                continue
            prepared = member.objective.prepare(sample, grids, tokenizer, rng)
            _check_sequence(member, prepared, has_one=sequence is not None)
            if prepared.sequence is not None:
                sequence = tuple(_rename_terms(s, member.names) for s in prepared.sequence)
            targets.append(prepared.targets)
            counts.update({member.names[t]: c for t, c in prepared.counts.items()})
            notes.update(prepared.notes)
        if not any(counts.values()):
            raise DataError("nothing to learn from this sample", where=f"sample {sample.id!r}")
        return Prepared(sequence, tuple(targets), dict(counts), dict(notes))

    def select(self, batch: Batch, gather: Gather) -> Batch:
        """The batch after the choices that objectives make with all of it in sight."""
        for index, member in enumerate(self.members):
            select: Callable[..., Batch] | None = getattr(member.objective, "select", None)
            if select is None:
                continue
            chosen = select(self._own(batch, index), gather)
            counts = {member.names[t]: c for t, c in chosen.counts.items()}
            kept = {t: c for t, c in batch.counts.items() if t not in member.names.values()}
            targets = tuple(
                (*all_[:index], own, *all_[index + 1 :])
                for all_, own in zip(
                    _member_targets(batch, self.members), chosen.targets, strict=True
                )
            )
            batch = replace(batch, targets=targets, counts=kept | counts)
        return batch

    def loss(self, out: ForwardOutput, batch: Batch) -> LossTerms:
        """The summed losses of all members, by their names in the mixture."""
        sums: dict[str, torch.Tensor] = {}
        logs: dict[str, float] = {}
        for index, member in enumerate(self.members):
            terms = member.objective.loss(out, self._own(batch, index))
            sums |= {name: terms.sums[t] for t, name in member.names.items() if t in terms.sums}
            logs |= terms.logs
        return LossTerms(sums, logs)

    def _own(self, batch: Batch, index: int) -> Batch:
        """The batch as member `index` knows it: its own targets, counts and names of terms."""
        names = {name: term for term, name in self.members[index].names.items()}
        terms = tuple(names.get(t, f"{t} of another") for t in batch.packed.terms)
        return replace(
            batch,
            packed=replace(batch.packed, terms=terms),
            targets=tuple(row[index] for row in _member_targets(batch, self.members)),
            counts={names[t]: c for t, c in batch.counts.items() if t in names},
        )


def _member_targets(batch: Batch, members: Sequence[Member]) -> list[tuple[Any, ...]]:
    """Targets of each document by member; a document of a dummy batch has none."""
    nothing = (None,) * len(members)
    return [nothing if row is None else row for row in batch.targets]


def _without_heads(objective: Objective) -> Objective:
    if getattr(objective, "heads", None) is None:
        return objective
    plain = copy.copy(objective)
    plain.heads = None  # type: ignore[attr-defined]
    return plain


def _rename_terms(segment: Segment, names: Mapping[str, str]) -> Segment:
    learn: Any = getattr(segment, "learn", None)
    return segment if learn is None else replace(segment, learn=names[learn])  # type: ignore[arg-type]


def _check_sequence(member: Member, prepared: Prepared, *, has_one: bool) -> None:
    """`has_one`: has an objective before this one supplied the sample's sequence?"""
    where, _, name = member.where.partition(".")
    if where == "plus" and prepared.sequence is not None and not has_one:
        raise ConfigError(
            f"{name!r} supplies a sequence, and the objective it is added to has none",
            where=member.where,
            fix=f"Let them change places: objective: {name}, and the other one under plus.",
        )
    if where == "plus" and prepared.sequence is not None:
        raise ConfigError(
            f"{name!r} supplies a sequence of its own, and a sample can have only one",
            where=member.where,
            fix=f"Let samples take turns instead: mix: {{{name}: {{share: 1.0}}}}.",
        )
    if where == "mix" and prepared.sequence is None:
        raise ConfigError(
            f"{name!r} supplies no sequence, so it needs no samples of its own",
            where=member.where,
            fix=f"Add it to the objective instead: plus: {{{name}: {{weight: 1.0}}}}.",
        )


def build_mixture(
    objective: ObjectivePart,
    plus: Mapping[str, ObjectivePart | None],
    mix: Mapping[str, MixedPart | None],
) -> Mixture:
    """The objectives of a stage. Raises ConfigError for an unknown one or settings it has not."""
    added = ObjectivePart.read_all(plus, where="plus").items()
    mixed = MixedPart.read_all(mix, where="mix").items()
    parts: list[tuple[str, int | None, ObjectivePart]] = [
        ("objective", 0, ObjectivePart.read(objective)),
        *((f"plus.{name}", None, part) for name, part in added),
        *((f"mix.{name}", stream, part) for stream, (name, part) in enumerate(mixed, start=1)),
    ]
    members: list[Member] = []
    taken: set[str] = set()
    for where, stream, part in parts:
        built: Objective = part.check().build()
        short = where.split(".", 1)[-1]
        names = {t: f"{short}.{t}" if t in taken else t for t in built.terms}
        taken |= set(names.values())
        members.append(
            Member(
                where=where,
                objective=built,
                weight=part.weight,
                stream=stream,
                share=part.share if isinstance(part, MixedPart) else 1.0,
                names=names,
            )
        )
    return Mixture(members)
