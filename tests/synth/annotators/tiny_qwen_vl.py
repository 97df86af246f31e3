"""A tiny random Qwen3-VL, saved as a real one is; its processor has a video part: torchvision."""

import copy
from pathlib import Path

import torch
from tests.synth.annotators.tiny_models import image_processor
from tests.tiny import tiny_tokenizer
from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

MARKS = ("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>")
TEMPLATE = (
    "{% for m in messages %}{% for c in m.content %}"
    "{% if c.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ c.text }}{% endif %}{% endfor %}{% endfor %}:"
)


def save_qwen3_vl(path: Path) -> Path:
    """The model, and its processor with marks of images and videos."""
    from transformers import Qwen3VLProcessor, Qwen3VLVideoProcessor

    tokenizer = copy.deepcopy(tiny_tokenizer())  # the tests share one
    tokenizer.add_special_tokens({"additional_special_tokens": list(MARKS)})
    tokenizer.chat_template = TEMPLATE
    ids = dict(zip(MARKS, tokenizer.convert_tokens_to_ids(list(MARKS)), strict=True))
    config = Qwen3VLConfig(
        text_config={
            "vocab_size": len(tokenizer), "hidden_size": 16, "intermediate_size": 16,
            "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2,
            "head_dim": 8, "rope_scaling": {"rope_type": "default", "mrope_section": [2, 1, 1]},
        },
        vision_config={
            "depth": 2, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2,
            "patch_size": 8, "out_hidden_size": 16, "deepstack_visual_indexes": [0],
            "num_position_embeddings": 16,
        },
        image_token_id=ids["<|image_pad|>"], video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"], vision_end_token_id=ids["<|vision_end|>"],
    )  # fmt: skip
    torch.manual_seed(0)
    Qwen3VLForConditionalGeneration(config).eval().save_pretrained(path)
    images = image_processor(
        "Qwen2VLImageProcessor",
        patch_size=8,
        size={"shortest_edge": 16 * 16, "longest_edge": 64 * 64},
    )
    videos = Qwen3VLVideoProcessor(patch_size=8)
    Qwen3VLProcessor(images, tokenizer, videos, chat_template=TEMPLATE).save_pretrained(path)
    return path
