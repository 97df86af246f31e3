"""Tiny random checkpoints of the annotators' model classes, saved as real ones are."""

import copy
from pathlib import Path

import torch
from tests.tiny import tiny_tokenizer
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing
from transformers import (
    BertConfig,
    BertTokenizerFast,
    CLIPVisionConfig,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    MMGroundingDinoConfig,
    MMGroundingDinoForObjectDetection,
    Owlv2Config,
    Owlv2ForObjectDetection,
    Sam2Config,
    Sam2Model,
    SamConfig,
    SamModel,
    SwinConfig,
)

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", ".", "a", "cat", "dog", "red", "hat", "small"]
PIECES += ["##s", "un", "##seen", "man", "in"] + [f"##{letter}" for letter in "bcdefghijklmnopqr"]
PIECES += list("bcdefghijklmnopqrstuvwxyz")


def bert_tokenizer(path: Path) -> None:
    """A WordPiece tokenizer with [CLS] and [SEP]."""
    inner = Tokenizer(WordPiece({p: i for i, p in enumerate(PIECES)}, unk_token="[UNK]"))
    inner.normalizer = BertNormalizer()
    inner.pre_tokenizer = BertPreTokenizer()
    inner.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]"}
    BertTokenizerFast(tokenizer_object=inner, sep_token="[SEP]", **special).save_pretrained(path)


def save_grounding_dino(path: Path, *, max_text_len: int = 64) -> Path:
    return _save_dino(path, GroundingDinoConfig, GroundingDinoForObjectDetection, max_text_len)


def save_mm_grounding_dino(path: Path, *, max_text_len: int = 64) -> Path:
    return _save_dino(path, MMGroundingDinoConfig, MMGroundingDinoForObjectDetection, max_text_len)


def _save_dino(path: Path, config_of, model_of, max_text_len: int) -> Path:
    config = config_of(
        backbone_config=SwinConfig(
            image_size=64, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2],
            window_size=2, out_features=["stage2", "stage3", "stage4"],
        ),
        text_config=BertConfig(
            vocab_size=len(PIECES), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=16, max_position_embeddings=max_text_len + 8,
        ),
        d_model=32, encoder_layers=1, decoder_layers=2, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, num_queries=9,
        max_text_len=max_text_len, num_feature_levels=3, encoder_n_points=2, decoder_n_points=2,
        fusion_droppath=0.0, fusion_dropout=0.0,
    )  # fmt: skip
    torch.manual_seed(0)
    model_of(config).eval().save_pretrained(path)
    bert_tokenizer(path)
    size = {"shortest_edge": 64, "longest_edge": 96}
    image_processor("GroundingDinoImageProcessor", size=size).save_pretrained(path)
    return path


def image_processor(kind: str, **settings):
    import transformers

    pil = getattr(transformers, f"{kind}Pil", None) or getattr(transformers, kind)
    return pil(**settings)


def save_sam(path: Path) -> Path:
    config = SamConfig(
        vision_config={
            "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "mlp_dim": 16,
            "image_size": 64, "patch_size": 16, "global_attn_indexes": [0], "output_channels": 32,
            "window_size": 2, "num_pos_feats": 16,
        },
        prompt_encoder_config={"hidden_size": 32, "image_size": 64, "patch_size": 16},
        mask_decoder_config={
            "hidden_size": 32, "mlp_dim": 16, "num_attention_heads": 2, "iou_head_hidden_dim": 16,
        },
    )  # fmt: skip
    torch.manual_seed(0)
    SamModel(config).save_pretrained(path)
    return path


def save_sam2(path: Path) -> Path:
    config = Sam2Config(
        vision_config={
            "backbone_config": {
                "model_type": "sam2_hiera_det_model", "hidden_size": 8, "num_attention_heads": 1,
                "image_size": [64, 64], "blocks_per_stage": [1, 1, 1, 1],
                "embed_dim_per_stage": [8, 16, 32, 64],
                "num_attention_heads_per_stage": [1, 1, 2, 2],
                "window_size_per_stage": [2, 2, 2, 2], "global_attention_blocks": [],
                "window_positional_embedding_background_size": [2, 2], "mlp_ratio": 2.0,
            },
            "backbone_channel_list": [64, 32, 16, 8],
            "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
            "fpn_hidden_size": 32,
        },
        prompt_encoder_config={"hidden_size": 32, "image_size": 64, "patch_size": 16},
        mask_decoder_config={
            "hidden_size": 32, "mlp_dim": 16, "num_attention_heads": 2, "iou_head_hidden_dim": 16,
        },
    )  # fmt: skip
    torch.manual_seed(0)
    Sam2Model(config).save_pretrained(path)
    return path


def save_owlv2(path: Path) -> Path:
    config = Owlv2Config(
        text_config={
            "vocab_size": 400, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
            "num_attention_heads": 2, "max_position_embeddings": 16, "pad_token_id": 0,
            "bos_token_id": 1, "eos_token_id": 2,
        },
        vision_config={
            "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
            "num_attention_heads": 2, "image_size": 64, "patch_size": 16,
        },
        projection_dim=16,
    )  # fmt: skip
    torch.manual_seed(0)
    Owlv2ForObjectDetection(config).save_pretrained(path)
    tiny_tokenizer().save_pretrained(path)
    size = {"height": 64, "width": 64}
    image_processor("Owlv2ImageProcessor", size=size).save_pretrained(path)
    return path


def save_llava(path: Path) -> Path:
    tokenizer = copy.deepcopy(tiny_tokenizer())  # the tests share one
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    tokenizer.chat_template = (
        "{% for m in messages %}{% for c in m.content %}"
        "{% if c.type == 'image' %}<image>{% else %}{{ c.text }}{% endif %}"
        "{% endfor %}{% endfor %}:"
    )
    torch.manual_seed(0)
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
            image_size=32, patch_size=8,
        ),
        text_config=LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=16, intermediate_size=16, num_hidden_layers=2,
            num_attention_heads=2, num_key_value_heads=2,
        ),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
    )  # fmt: skip
    LlavaForConditionalGeneration(config).save_pretrained(path)
    images = image_processor("CLIPImageProcessor", size={"shortest_edge": 32}, crop_size=32)
    LlavaProcessor(
        images, tokenizer, patch_size=8, vision_feature_select_strategy="default",
        num_additional_image_tokens=1, chat_template=tokenizer.chat_template,
    ).save_pretrained(path)  # fmt: skip
    return path
