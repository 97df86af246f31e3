"""The generation config of an export: the language model's own, made valid before it is written.

`save_pretrained` refuses an invalid one, and would do so after hours of training.
"""

import copy
from typing import Any

from transformers import GenerationConfig

from diglot.core.errors import ConfigError

SAMPLING = ("temperature", "top_p", "top_k", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff")


def generation_config(model: Any, tokenizer: Any, image_token_id: int | None) -> GenerationConfig:
    """A valid config. Sampling figures without sampling are dropped: they have no effect.

    Raises ConfigError where it is invalid in another way.
    """
    config = copy.deepcopy(model.generation_config) or GenerationConfig()
    drop_unused_sampling(config)
    if config.eos_token_id is None:
        config.eos_token_id = tokenizer.eos_token_id
    if config.pad_token_id is None:
        pad = tokenizer.pad_token_id
        config.pad_token_id = tokenizer.eos_token_id if pad is None else pad
    if image_token_id is not None:
        config.suppress_tokens = [*(config.suppress_tokens or []), image_token_id]
    try:
        config.validate(strict=True)
    except ValueError as error:
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(
            f"the language model's generation config is invalid: {reason}",
            where="language.path",
            fix="Mend generation_config.json in the checkpoint.",
        ) from error
    return config


def drop_unused_sampling(config: GenerationConfig | None) -> None:
    """Figures of sampling without sampling are set to None: they have no effect."""
    if config is not None and not config.do_sample:
        for name in SAMPLING:
            setattr(config, name, None)
