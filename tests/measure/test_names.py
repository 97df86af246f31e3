import torch

from diglot.measure.names import name_ids, name_vectors
from tests.tiny import tiny_language


def test_a_name_is_tokenised_as_in_running_text():
    language = tiny_language()
    ids = name_ids("  red car ", language)
    assert language.tokenizer.decode(ids) == " red car"
    assert ids == tuple(language.tokenizer(" red car", add_special_tokens=False)["input_ids"])


def test_a_word_vector_is_the_mean_of_its_pieces():
    language = tiny_language()
    vectors = name_vectors(["hot air balloon", "dog"], language)
    rows = [language.words.weight[i] for i in name_ids("hot air balloon", language)]
    torch.testing.assert_close(vectors["hot air balloon"], sum(rows) / len(rows))
    assert not vectors["dog"].requires_grad
