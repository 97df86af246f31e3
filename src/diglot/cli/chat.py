"""`diglot chat`: ask a checkpoint about a picture, and see which tokens lie near some words."""

from diglot.config.paths import InCheckpoint, InPath, OutJson, OutPng
from diglot.config.ranges import PositiveInt


def chat(
    checkpoint: InCheckpoint,
    image: InPath,
    *,
    question: str | None = None,
    point: str | None = None,
    map: OutPng | None = None,
    max_tokens: PositiveInt = 64,
    json: OutJson | None = None,
) -> None:
    """Ask a checkpoint, of `diglot train` or a stock one, about a picture.

    Without a question it writes a caption, framed as in pretraining; a question goes through the
    language model's chat template. --point shows how near each visual token lies to some words.

    Examples:
        diglot chat runs/mmcs/model photo.jpg
        diglot chat runs/sft/model photo.jpg --question "What is on the table?"
        diglot chat runs/mmcs/model photo.jpg --point "the dog" --map dog.png

    Args:
        checkpoint: Folder that `diglot train` wrote, or of a stock vision-language model.
        image: A picture.
        question: What to ask; left out, it writes a caption.
        point: Words to look for among the visual tokens.
        map: Also write the map of --point over the picture to this PNG file.
        max_tokens: Longest answer.
        json: Also write the answer and the map to this file.
    """
    from diglot.cli.chat_run import run_chat  # slow to load: not for --help

    run_chat(
        checkpoint=checkpoint,
        image=image,
        question=question,
        point=point,
        map=map,
        max_tokens=max_tokens,
        json=json,
    )
