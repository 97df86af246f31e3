"""lmms-eval on stock checkpoints of today, run as a script by the Python that has lmms-eval.

Its general class (0.7.3, `--model huggingface`) fails on them with transformers 5.23: it hands
every processor `audios`, empty or not, which they refuse; and it opens a model with AutoModel, so
without its head. Here what is empty is left out, and AutoModel is AutoModelForImageTextToText. The
first argument is the type of the weights, where that class has bfloat16 alone.

Nothing of diglot is imported: that environment does not have it.
"""

import runpy
import sys
from typing import Any

from transformers import AutoModel, AutoModelForImageTextToText, AutoProcessor

MEDIA = ("audios", "videos", "images")


def skip_empty_media(processor: Any) -> Any:
    """The processor, made to take empty media as none at all; its class keeps its name."""
    kind = type(processor)

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        given = {k: v for k, v in kwargs.items() if k not in MEDIA or v}
        return kind.__call__(self, *args, **given)

    processor.__class__ = type(kind.__name__, (kind,), {"__call__": call})
    return processor


def run_lmms(dtype: str) -> None:
    """What `python -m lmms_eval` does, with such processors and models of this type."""
    load, load_model = AutoProcessor.from_pretrained, AutoModelForImageTextToText.from_pretrained
    AutoProcessor.from_pretrained = lambda *args, **kwargs: skip_empty_media(load(*args, **kwargs))
    AutoModel.from_pretrained = lambda *args, **kwargs: load_model(
        *args, **{**kwargs, "torch_dtype": dtype}
    )
    runpy.run_module("lmms_eval", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    sys.path.pop(0)  # this folder: its files have common names
    run_lmms(sys.argv.pop(1))
