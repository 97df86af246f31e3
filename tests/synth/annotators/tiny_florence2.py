"""A tiny random Florence-2, saved as a real one is."""

import copy
from pathlib import Path

import torch
from tests.synth.annotators.tiny_models import image_processor
from tests.tiny import tiny_tokenizer
from transformers import (
    BartConfig,
    Florence2Config,
    Florence2ForConditionalGeneration,
    Florence2Processor,
    PreTrainedTokenizerFast,
)


def save_florence2(path: Path) -> Path:
    """The model, and its processor with the tokens of an image."""
    plain = tiny_tokenizer()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=copy.deepcopy(plain.backend_tokenizer),  # the tests share one
        bos_token=plain.bos_token,
        eos_token=plain.eos_token,
        pad_token=plain.pad_token,
        extra_special_tokens={"image_token": "<image>"},
    )
    config = Florence2Config(
        vision_config={
            "depths": (1, 1), "patch_size": (7, 3), "patch_stride": (4, 2),
            "patch_padding": (3, 1), "patch_prenorm": (False, True), "embed_dim": (8, 16),
            "num_heads": (1, 2), "num_groups": (1, 2), "window_size": 4, "projection_dim": 16,
        },
        text_config=BartConfig(
            vocab_size=len(tokenizer), d_model=16, encoder_layers=1, decoder_layers=1,
            encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=16,
            decoder_ffn_dim=16, max_position_embeddings=256,
            bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id, decoder_start_token_id=tokenizer.eos_token_id,
            forced_eos_token_id=tokenizer.eos_token_id,
        ).to_dict(),
        image_token_id=tokenizer.image_token_id,
    )  # fmt: skip
    torch.manual_seed(0)
    Florence2ForConditionalGeneration(config).eval().save_pretrained(path)
    images = image_processor("CLIPImageProcessor", size={"height": 32, "width": 32})
    images.do_center_crop = False
    # of 32 px in strides of 8: 16 places, and the mean
    images.image_seq_length = 17
    Florence2Processor(images, tokenizer).save_pretrained(path)
    return path
