"""Tiny random pipelines of `diffusers`, saved as the real ones are."""

from pathlib import Path
from typing import Any

import torch
from transformers import (
    CLIPImageProcessorPil,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

TEXT: dict[str, Any] = {
    "vocab_size": 260,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 8,
    "bos_token_id": 256,
    "eos_token_id": 257,
}


def save_pipeline(kind: str, folder: Path, *, levels: tuple[int, int] = (2, 3)) -> Path:
    """The pipeline of this kind, one of MAKE; `levels` of its VAE and of its U-Net."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        MAKE[kind](*levels).save_pretrained(folder)
    return folder


def _tokenizer() -> Any:
    words = [chr(0x100 + i) for i in range(256)] + ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=[])
    tokenizer.model_max_length = 8
    return tokenizer


def _text(width: int, *, projected: bool = False) -> Any:
    config = CLIPTextConfig(**TEXT, hidden_size=width, projection_dim=width)
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(config)


def _vae(levels: int, channels: int = 4, **settings: Any) -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(8,) * (levels - 1) + (16,),
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        norm_num_groups=4,
        latent_channels=channels,
        **settings,
    )


def _unet(levels: int, cross: int, **settings: Any) -> Any:
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        block_out_channels=(8,) * (levels - 2) + (16, 24),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D",) * (levels - 1) + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * (levels - 1),
        norm_num_groups=4,
        attention_head_dim=4,
        sample_size=64,
        cross_attention_dim=cross,
        **settings,
    )


def _ddim() -> Any:
    from diffusers import DDIMScheduler

    return DDIMScheduler(beta_schedule="scaled_linear", clip_sample=False, steps_offset=1)


def _stable_diffusion(vae: int, unet: int) -> Any:
    from diffusers import StableDiffusionPipeline

    return StableDiffusionPipeline(
        vae=_vae(vae),
        text_encoder=_text(16),
        tokenizer=_tokenizer(),
        unet=_unet(unet, 16),
        scheduler=_ddim(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _image_variations(vae: int, unet: int) -> Any:
    from diffusers import StableDiffusionImageVariationPipeline

    vision = CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=32,
        patch_size=16,
        projection_dim=16,
    )
    return StableDiffusionImageVariationPipeline(
        vae=_vae(vae),
        image_encoder=CLIPVisionModelWithProjection(vision),
        unet=_unet(unet, 16),
        scheduler=_ddim(),
        safety_checker=None,
        feature_extractor=CLIPImageProcessorPil(),
        requires_safety_checker=False,
    )


def _xl(vae: int, unet: int) -> Any:
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline

    added: dict[str, Any] = {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 16 + 6 * 8,
    }
    return StableDiffusionXLPipeline(
        vae=_vae(vae),
        text_encoder=_text(8),
        text_encoder_2=_text(16, projected=True),
        tokenizer=_tokenizer(),
        tokenizer_2=_tokenizer(),
        unet=_unet(unet, 24, **added),
        scheduler=EulerDiscreteScheduler(beta_schedule="scaled_linear"),
    )


def _dit(vae: int, unet: int) -> Any:
    from diffusers import DiTPipeline, DiTTransformer2DModel

    transformer = DiTTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        in_channels=4,
        out_channels=8,
        num_layers=2,
        sample_size=8,
        patch_size=2,
        num_embeds_ada_norm=10,
        norm_num_groups=4,
    )
    return DiTPipeline(
        transformer=transformer, vae=_vae(vae), scheduler=_ddim(), id2label={"0": "a"}
    )


def _sd3(vae: int, unet: int) -> Any:
    from diffusers import (
        FlowMatchEulerDiscreteScheduler,
        SD3Transformer2DModel,
        StableDiffusion3Pipeline,
    )

    transformer = SD3Transformer2DModel(
        sample_size=16,
        patch_size=2,
        in_channels=16,
        out_channels=16,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=4096,
        caption_projection_dim=16,
        pooled_projection_dim=24,
        pos_embed_max_size=16,
    )
    return StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=_vae(vae, 16, shift_factor=0.06, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=_text(8, projected=True),
        tokenizer=_tokenizer(),
        text_encoder_2=_text(16, projected=True),
        tokenizer_2=_tokenizer(),
        text_encoder_3=None,
        tokenizer_3=None,
    )


MAKE = {
    "StableDiffusionPipeline": _stable_diffusion,
    "StableDiffusionImageVariationPipeline": _image_variations,
    "StableDiffusionXLPipeline": _xl,
    "DiTPipeline": _dit,
    "StableDiffusion3Pipeline": _sd3,
}
