"""EfficientNet's classifier rows as word vectors: which classes a word stands for."""

import pytest
import torch
from torch.nn.functional import normalize

from diglot.core.errors import ConfigError
from diglot.synth.patch_labels.labellers.embedded import EmbeddedTowers, first_names, listed_names

CLASSES = (
    ("tabby", "tabby cat"),
    ("Egyptian cat",),
    ("hot dog", "frankfurter"),
    ("crane",),
    ("crane", "hoist"),
    ("crane",),
)


def test_without_a_list_each_class_has_the_first_name_that_is_free():
    expected = {"tabby": [0], "Egyptian cat": [1], "hot dog": [2], "crane": [3], "hoist": [4]}
    assert first_names(CLASSES) == expected


def test_a_listed_word_stands_for_all_classes_that_end_in_it():
    found = listed_names(CLASSES, ["CAT", "crane", "guitar", "dog", "tabby cat", "ca"])
    assert found == {"CAT": [0, 1], "crane": [3, 4, 5], "dog": [2], "tabby cat": [0]}


@pytest.mark.embedded
def test_vectors_of_a_list_are_means_of_rows():
    pair = EmbeddedTowers(known=["cat", "guitar", "unheard-of"], image_px=64)
    assert pair.names == ["cat", "guitar"]
    vectors = pair.vectors()
    assert torch.allclose(vectors.norm(dim=1), torch.ones(len(vectors)))
    rows, _ = pair.encoder.classifier_rows()
    # ImageNet's cats: tabby, tiger cat, Persian, Siamese, Egyptian, and what else ends in "cat"
    nearest = (normalize(rows.float(), dim=1) @ vectors[0]).topk(3).indices.tolist()
    assert set(nearest) & set(range(281, 286))


@pytest.mark.embedded
def test_a_list_without_any_class_is_refused():
    with pytest.raises(ConfigError, match="no class of ImageNet"):
        EmbeddedTowers(known=["unheard-of"], image_px=64)
