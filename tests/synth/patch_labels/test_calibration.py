"""What a labeller learns from the first images is kept, and makes every later run the same."""

import dataclasses
import json

import pytest
import torch
from tests.synth.patch_labels.labellers import word_labeller
from tests.tiny import NAMES
from tests.tiny_folders import tiny_samples
from torch.nn.functional import normalize

from diglot.data.features import sample_picture
from diglot.synth.patch_labels.calibration import FILE, FILE_BEFORE, fit_calibration


@pytest.fixture(scope="module")
def images():
    return [(sample, sample_picture(sample)) for sample in tiny_samples(5)]


def never():
    raise AssertionError("the images are read again")


def test_a_given_sign_reads_no_image(tmp_path):
    labeller = word_labeller()
    fit_calibration(labeller, tmp_path / "labels", never, sign=-1, centre=False)
    assert (labeller.sign, labeller.centre) == (-1, None)
    assert labeller.about["sign"] == -1
    assert not (tmp_path / "labels").exists()


@pytest.mark.parametrize("sign", [None, 1, -1])
def test_centred_vectors_are_those_less_their_means(images, tmp_path, sign):
    plain, centred = word_labeller(), word_labeller()
    fit_calibration(centred, tmp_path, lambda: images, sign=sign, centre=True)
    patches = [plain.vectors_of([picture])[0] for _, picture in images]
    mean_C = torch.stack([patch_MC.mean(0) for patch_MC in patches]).mean(0)
    words = torch.cat([piece for _, piece in plain.pieces()])
    for patch_MC, (_, picture) in zip(patches, images, strict=True):
        expected = normalize(patch_MC - mean_C, dim=1)
        assert torch.allclose(centred.vectors_of([picture])[0], expected, atol=1e-5)
    found = torch.cat([piece for _, piece in centred.word_pieces()])
    assert torch.allclose(found, normalize(words - words.mean(0), dim=1), atol=1e-5)
    assert centred.sign in ((1, -1) if sign is None else (sign,))


def test_a_later_run_takes_what_was_kept(images, tmp_path):
    first, again = word_labeller(), word_labeller()
    fit_calibration(first, tmp_path, lambda: images, sign=None, centre=True)
    fit_calibration(again, tmp_path, never, sign=None, centre=True)
    assert again.about == first.about
    assert again.sign == first.sign
    picture = images[0][1]
    assert torch.equal(again.vectors_of([picture]), first.vectors_of([picture]))


def test_of_another_labeller_it_is_found_anew(images, tmp_path):
    fit_calibration(word_labeller(), tmp_path, lambda: images, sign=None, centre=True)
    other = dataclasses.replace(word_labeller(), about={"labeller": "another"})
    with pytest.raises(AssertionError, match="read again"):
        fit_calibration(other, tmp_path, never, sign=None, centre=True)


@pytest.mark.parametrize("text", ["", "[1]", "{}", '{"of": 1'])
def test_a_damaged_file_is_made_again(images, tmp_path, text):
    whole, again = word_labeller(), word_labeller()
    fit_calibration(whole, tmp_path, lambda: images, sign=None, centre=False)
    kept = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_text(text)
    fit_calibration(again, tmp_path, lambda: images, sign=None, centre=False)
    assert (tmp_path / FILE).read_bytes() == kept
    assert again.about == whole.about


@pytest.mark.parametrize("name", [FILE, FILE_BEFORE])
def test_what_an_earlier_version_kept_is_taken_over(images, tmp_path, name):
    first, again = word_labeller(), word_labeller()
    fit_calibration(first, tmp_path, lambda: images, sign=None, centre=True)
    entry = json.loads((tmp_path / FILE).read_text())
    (tmp_path / FILE).unlink()
    (tmp_path / name).write_text(json.dumps({"of": entry["about"], **entry["content"]}))
    fit_calibration(again, tmp_path, never, sign=None, centre=True)
    assert again.about == first.about


def test_the_reason_of_the_sign_is_given(images, tmp_path):
    labeller = word_labeller()
    fit_calibration(labeller, tmp_path, lambda: images, sign=None, centre=False)
    assert "regions" in labeller.about["why"]
    kept = json.loads((tmp_path / FILE).read_text())
    assert kept["content"]["why"] == labeller.about["why"]
    assert set(NAMES) & set(labeller.words)
