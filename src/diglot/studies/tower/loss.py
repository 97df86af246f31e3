"""What the towers learn: every patch and object its name, every scene its caption.

A patch joins the space of texts as `diglot label` takes it there: the final norm, then SigLIP's
pooling head over that patch alone. So what is trained is what labels are made with.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy, logsigmoid, mse_loss, normalize
from transformers import SiglipModel

from diglot.core.preprocess import Preprocess
from diglot.studies.tower.pictures import KnownObject, PictureBatch

BACKGROUND = "background"  # the last of the names: what no object covers
LEAST_COVERAGE = 0.5  # of a patch, by an object: below it the patch has no name


@dataclass(frozen=True)
class Lesson:
    """What is taught of training photographs: targets (N, T), and the head that must meet them."""

    target_NT: torch.Tensor
    head: nn.Module  # linear, thrown away at the end


@dataclass(frozen=True)
class TowerLosses:
    """The terms of one batch, scalars, and the share of objects whose own name scored highest."""

    patches: torch.Tensor
    objects: torch.Tensor
    captions: torch.Tensor
    teacher: torch.Tensor
    accuracy: float


def cell_coverage(objects: Sequence[KnownObject], *, side_px: int, patch_px: int) -> torch.Tensor:
    """Share of every patch that an object's box covers: (O, N) in [0, 1]."""
    preprocess = Preprocess(mode="squash", image_px=side_px)
    grid = preprocess.token_grid((side_px, side_px), patch_px=patch_px)
    covers = np.stack([grid.box_cover(thing.box) for thing in objects])
    return torch.from_numpy(covers).float()


def patch_vectors(model: SiglipModel, hidden_BNC: torch.Tensor) -> torch.Tensor:
    """Normed tokens (B, N, C) in the space of texts, each by itself, not yet of length 1."""
    alone_T1C = hidden_BNC.reshape(-1, 1, hidden_BNC.shape[-1])
    return model.vision_model.head(alone_T1C).reshape(hidden_BNC.shape)


def tower_losses(
    model: SiglipModel,
    batch: PictureBatch,
    name_ids_KL: torch.Tensor,
    caption_ids_SL: torch.Tensor,
    *,
    patch_px: int,
    lesson: Lesson | None = None,
) -> TowerLosses:
    """The losses of a batch; names (K, L) and captions (S, L) as padded token ids.

    The last name is the background's.
    """
    out = model.vision_model(pixel_values=batch.pixels_B3PP)
    hidden_BNC = out.last_hidden_state
    vector_BNC = patch_vectors(model, hidden_BNC)
    text_TC = _text_vectors(model, torch.cat([name_ids_KL, caption_ids_SL]))
    name_KC, caption_SC = text_TC.split([len(name_ids_KL), len(caption_ids_SL)])
    scale = model.logit_scale.exp()

    side_px = batch.pixels_B3PP.shape[-1]
    coverage_ON = cell_coverage(batch.objects, side_px=side_px, patch_px=patch_px)
    picture_O = torch.tensor([thing.picture for thing in batch.objects])
    name_O = torch.tensor([thing.name for thing in batch.objects])

    # a patch learns the name of the object that covers at least half of it
    which_P, cell_P = (coverage_ON >= LEAST_COVERAGE).nonzero(as_tuple=True)
    # and one that no object touches, that it is background
    touched_BN = torch.zeros(hidden_BNC.shape[:2]).index_add(0, picture_O, coverage_ON)
    bare_P, bare_cell_P = (touched_BN == 0).nonzero(as_tuple=True)
    picture_P = torch.cat([picture_O[which_P], bare_P])
    name_P = torch.cat([name_O[which_P], torch.full_like(bare_P, len(name_KC) - 1)])
    patch_PC = normalize(vector_BNC[picture_P, torch.cat([cell_P, bare_cell_P])], dim=-1)
    patches = cross_entropy(scale * patch_PC @ name_KC.T, name_P)

    # an object's vector is the mean of its patches by coverage
    mean_OC = torch.einsum("on,onc->oc", coverage_ON.to(vector_BNC), vector_BNC[picture_O])
    logits_OK = scale * normalize(mean_OC, dim=-1) @ name_KC.T
    objects = cross_entropy(logits_OK, name_O)

    accuracy = (logits_OK.argmax(1) == name_O).float().mean().item()
    captions = _caption_loss(model, out.pooler_output[list(batch.captions)], caption_SC)
    teacher = _teacher_loss(lesson, batch.objects, coverage_ON, hidden_BNC)
    return TowerLosses(patches, objects, captions, teacher, accuracy)


def _teacher_loss(
    lesson: Lesson | None,
    objects: Sequence[KnownObject],
    coverage_ON: torch.Tensor,
    hidden_BNC: torch.Tensor,
) -> torch.Tensor:
    """Mean squared error of the photographs' mean tokens, through the head, to their targets.

    Targets have mean 0 and mean square 1: to have learned nothing is 1.
    """
    kept = [(index, thing) for index, thing in enumerate(objects) if thing.photo is not None]
    if lesson is None or not kept:
        return hidden_BNC.sum() * 0
    cover_QN = coverage_ON[[index for index, _ in kept]]
    picture_Q = torch.tensor([thing.picture for _, thing in kept])
    # mean token of an object by coverage: what a linear probe reads
    mean_QC = torch.einsum("qn,qnc->qc", cover_QN.to(hidden_BNC), hidden_BNC[picture_Q])
    mean_QC = mean_QC / cover_QN.sum(1, keepdim=True).clamp(min=1e-6)
    target_QT = lesson.target_NT[[thing.photo for _, thing in kept]]
    return mse_loss(lesson.head(mean_QC).float(), target_QT.float())


def _text_vectors(model: SiglipModel, ids_TL: torch.Tensor) -> torch.Tensor:
    """Unit vectors (T, C)."""
    return normalize(model.text_model(input_ids=ids_TL).pooler_output, dim=-1)


def _caption_loss(
    model: SiglipModel, pooled_SC: torch.Tensor, caption_SC: torch.Tensor
) -> torch.Tensor:
    """SigLIP's: every pair of scene and caption is a question, right on the diagonal alone."""
    if not len(caption_SC):
        return pooled_SC.sum() * 0
    logits_SS = normalize(pooled_SC, dim=-1) @ caption_SC.T * model.logit_scale.exp()
    logits_SS = logits_SS + model.logit_bias
    sign_SS = 2 * torch.eye(len(caption_SC)) - 1
    return -logsigmoid(sign_SS * logits_SS).sum(1).mean()
