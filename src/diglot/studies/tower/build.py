"""The two towers and their tokenizer, fresh: stock classes of `transformers`."""

from collections.abc import Iterable, Iterator

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast, SiglipConfig, SiglipModel

from diglot.embedded.emoji import emoji_files
from diglot.studies.tower.config import TowerShape
from diglot.studies.tower.pictures import PictureMaker

PAD, END = "<pad>", "</s>"
TEMPLATES = ("{}", "a {}", "the {}", "a picture of a {}", "there is a {}")


def build_tokenizer(shape: TowerShape, maker: PictureMaker) -> PreTrainedTokenizerFast:
    """Byte-level BPE over captions of scenes and names of drawings, in lower case."""
    inner = Tokenizer(models.BPE())
    inner.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    inner.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=shape.vocabulary,
        special_tokens=[PAD, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(_texts(maker.names), trainer)
    inner.post_processor = processors.TemplateProcessing(
        single=f"$A {END}", special_tokens=[(END, inner.token_to_id(END))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token=PAD,
        eos_token=END,
        model_max_length=shape.text_tokens,
        model_input_names=["input_ids"],
    )


def _texts(names: Iterable[str]) -> Iterator[str]:
    """What the tokenizer learns its pieces from."""
    wheres = ("at the top left", "at the top right", "at the bottom left", "at the bottom right")
    words = "in the center, on the left, on the right, at the top, at the bottom, above, below, is"
    openings = "there is there are this scene shows here we see a picture of an and also things"
    numbers = "one two three four five six seven eight objects large small to the of red blue green"
    for name in names:
        for template in TEMPLATES:
            yield template.format(name)
        for where in wheres:
            yield f"a {name} {where}."
    yield from [words, openings, numbers] * 20
    for stem in emoji_files():
        yield stem.replace("-", " ")


def build_model(shape: TowerShape, tokenizer: PreTrainedTokenizerFast) -> SiglipModel:
    """Both towers with random weights, from torch's global generator."""
    shared = {
        "hidden_size": shape.width,
        "intermediate_size": 4 * shape.width,
        "num_attention_heads": shape.heads,
    }
    text = shared | {
        "num_hidden_layers": shape.text_layers,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": shape.text_tokens,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": tokenizer.eos_token_id,
        "projection_size": shape.width,
    }
    vision = shared | {
        "num_hidden_layers": shape.image_layers,
        "image_size": shape.image_px,
        "patch_size": shape.patch_px,
    }
    model = SiglipModel(SiglipConfig(text_config=text, vision_config=vision))
    with torch.no_grad():  # the paper's start (Zhai et al. 2023): temperature 10, bias -10
        model.logit_scale.fill_(torch.tensor(10.0).log())
        model.logit_bias.fill_(-10.0)
    return model
