"""A program of its own: runs an exported folder with stock `transformers`, no import of ours.

`python -I stock_run.py REQUEST`: REQUEST/request.json names the folder, the texts and how many
tokens to generate; REQUEST/N.png are the images. Writes REQUEST/logits.safetensors (ids.N of the
whole text, logits.N at its text positions) and, last, REQUEST/result.json.
"""

import json
import sys
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (
    AutoImageProcessor,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
)

IMAGE_ID = -1  # in our files, whatever the folder's image token is


def main(request: Path) -> None:
    task = json.loads((request / "request.json").read_text("utf-8"))
    dtype = getattr(torch, task["computed_in"])
    model = AutoModelForImageTextToText.from_pretrained(
        task["folder"], dtype=dtype, trust_remote_code=False
    ).eval()
    if (adapter := Path(task["folder"]) / "adapter").is_dir():
        from peft import PeftModel  # the folder's own need, not every folder's

        model = PeftModel.from_pretrained(model, adapter).to(dtype).eval()
    processor, as_pil, lacking = load_processor(task["folder"])
    tensors, answers, pixels = {}, [], []
    for number, text in enumerate(task["texts"]):
        inputs = ours = load_file(request / f"inputs.{number}.safetensors")
        if processor is not None:  # else the model alone can be compared, on pixels from outside
            image = Image.open(request / f"{number}.png").convert("RGB")
            inputs = processor(
                images=[image], text=[text], add_special_tokens=False, return_tensors="pt"
            )
            inputs = dict(inputs)
            pixels.append(compare_pixels(inputs, ours))
            answers.append(answer(model, processor, image, task))
            if not as_pil:  # its resizing rounds otherwise: the figure above says by how much
                inputs |= {name: ours[name] for name in ours if name.startswith("pixel")}
        tensors |= read_logits(model, inputs, number)
    save_file(tensors, request / "logits.safetensors")
    result = {"answers": answers, "lacking": lacking, "pixels": max(pixels, default=None)}
    result["modules"] = sorted(sys.modules)
    (request / "result.json").write_text(json.dumps(result), "utf-8")


def load_processor(folder):
    """The processor, whether it resizes by PIL as we do, or None and what it lacks."""
    try:
        processor = AutoProcessor.from_pretrained(folder, backend="pil", trust_remote_code=False)
    except (ImportError, ValueError, OSError):  # its video part may have no such backend
        try:
            processor = AutoProcessor.from_pretrained(folder, trust_remote_code=False)
        except (ImportError, ValueError) as error:
            AutoTokenizer.from_pretrained(
                folder, trust_remote_code=False
            )  # a broken folder is another matter
            return None, True, " ".join(str(error).split())[:300]
        processor.image_processor = AutoImageProcessor.from_pretrained(
            folder, backend="pil", trust_remote_code=False
        )
    return processor, type(processor.image_processor).__name__.endswith("Pil"), None


def compare_pixels(inputs, ours):
    """The largest difference of a pixel from those of training; infinite where shapes differ."""
    theirs, mine = inputs["pixel_values"], ours["pixel_values"]
    if theirs.ndim == 3 and not theirs[:, mine.shape[1] :].any():
        theirs = theirs[:, : mine.shape[1]]  # flat patches, with blank ones behind
    return (theirs - mine).abs().max().item() if theirs.shape == mine.shape else float("inf")


@torch.no_grad()
def read_logits(model, inputs, number):
    ids_T, image_id = inputs["input_ids"][0], model.config.image_token_id
    ids_T[ids_T == IMAGE_ID] = image_id  # of pixels from outside
    is_text = ids_T != image_id
    if "image_grid_thw" in inputs:  # by this the class knows images from text
        inputs = {**inputs, "mm_token_type_ids": (~is_text).int()[None]}
    inputs = {name: cast_pixels(value, model.dtype) for name, value in inputs.items()}
    logits_TV = model(**inputs).logits[0, is_text].clone()
    return {f"ids.{number}": ids_T.where(is_text, IMAGE_ID), f"logits.{number}": logits_TV}


def cast_pixels(value, dtype):
    """Numbers with fractions in the model's format; ids and sizes as they are."""
    return value.to(dtype) if torch.is_tensor(value) and value.is_floating_point() else value


@torch.no_grad()
def answer(model, processor, image, task):
    """What the model generates behind the chat template, or behind the bare question."""
    content = [{"type": "image"}, {"type": "text", "text": task["question"]}]
    text = task["bare_question"]
    if processor.chat_template:
        text = processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True
        )
    inputs = processor(images=[image], text=[text], add_special_tokens=False, return_tensors="pt")
    inputs = {name: cast_pixels(value, model.dtype) for name, value in inputs.items()}
    ids = model.generate(**inputs, max_new_tokens=task["new_tokens"], do_sample=False)
    return processor.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
