"""What a document of training is, token by token, and what of it is learned."""

from collections import defaultdict
from typing import Any

from transformers import PreTrainedTokenizerFast

from diglot.core.segments import Encoded
from diglot.data.collate import EncodedSample
from diglot.data.rejected import Rejection

Listing = dict[str, Any]


def list_tokens(
    item: EncodedSample | Rejection, tokenizer: PreTrainedTokenizerFast
) -> dict[str, Any]:
    """A prepared sample for the page: its id, tokens, counts and notes, or why it is rejected.

    A token is {text, id, terms, branch}: the terms of the loss that learn it, and the branch it
    stands on (0 = the trunk). Visual tokens in a row are one entry, with their `count`.
    """
    if isinstance(item, Rejection):
        return {"id": item.id, "rejected": item.reason, "tokens": [], "counts": {}, "notes": {}}
    return {
        "id": item.id,
        "rejected": "",
        "tokens": _join_images(_list_positions(item.encoded, tokenizer)),
        "counts": dict(item.counts),
        "notes": dict(item.notes),
    }


def _list_positions(encoded: Encoded, tokenizer: PreTrainedTokenizerFast) -> list[Listing]:
    """Every position; behind it what is learned from it and stands nowhere in the document."""
    wanted = _list_targets(encoded)
    found: list[Listing] = []
    before = _list_predecessors(encoded)
    for at in range(len(encoded)):
        word, branch = int(encoded.token_T[at]), int(encoded.branch_T[at])
        if encoded.visual_T[at] >= 0 or encoded.separator_T[at] >= 0:
            kind = "image" if encoded.visual_T[at] >= 0 else "separator"
            found.append({"text": kind, "id": None, "terms": [], "branch": branch, "count": 1})
            continue
        terms = wanted[before[at]].pop(word, [])
        found.append(_list_entry(word, terms, branch, tokenizer))
    return found + [
        _list_entry(word, terms, int(encoded.branch_T[query]), tokenizer)
        for query, targets in sorted(wanted.items())
        for word, terms in targets.items()
    ]


def _list_entry(word: int, terms: list[str], branch: int, tokenizer: Any) -> Listing:
    text = tokenizer.decode([word])
    if "\ufffd" in text:  # a part of a character
        text = tokenizer.convert_ids_to_tokens(word)
    return {"text": text, "id": word, "terms": terms, "branch": branch, "count": 1}


def _list_targets(encoded: Encoded) -> dict[int, dict[int, list[str]]]:
    """By position: the words that are learned from it, each with its terms."""
    wanted: dict[int, dict[int, list[str]]] = defaultdict(dict)
    triples = (encoded.query_S, encoded.target_S, encoded.term_S)
    for query, target, term in zip(*(v.tolist() for v in triples), strict=True):
        wanted[query].setdefault(target, []).append(encoded.terms[term])
    return wanted


def _list_predecessors(encoded: Encoded) -> list[int]:
    """The position that each one follows: the one before it on its branch, or the branch's fork."""
    last: dict[int, int] = {}
    before = []
    for at, branch in enumerate(encoded.branch_T.tolist()):
        before.append(last.get(branch, int(encoded.fork_T[at]) if branch else -1))
        last[branch] = at
    return before


def _join_images(tokens: list[Listing]) -> list[Listing]:
    """Visual tokens of a row as one entry."""
    joined: list[Listing] = []
    for token in tokens:
        same = joined and joined[-1]["id"] is None and joined[-1]["text"] == token["text"]
        if same and token["id"] is None and joined[-1]["branch"] == token["branch"]:
            joined[-1]["count"] += 1
        else:
            joined.append(dict(token))
    return joined
