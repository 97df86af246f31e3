"""Visual tokens beyond the limit are in a file: memory does not grow with the images."""

import ctypes
import gc
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from diglot.core.errors import ConfigError
from diglot.core.preprocess import Preprocess
from diglot.measure.attention_maps import open_queries, read_map
from diglot.measure.attention_rows import record_rows
from diglot.measure.config import MeasureConfig
from diglot.measure.hidden_states import open_documents, read_layers
from diglot.measure.map_items import read_readings
from diglot.measure.plan import Subject
from diglot.measure.projected import project_samples
from diglot.measure.row_store import RowStore, StoredRows, read_rows
from diglot.measure.runner import measure_alignment
from diglot.models.config import Frame
from diglot.models.language import Language
from diglot.models.projectors import mlp
from diglot.models.vlm import VLM
from tests.tiny import NAMES, TinyEncoder, tiny_sample, tiny_tokenizer, tiny_vlm

PAGES = Path("/proc/self/clear_refs")
SIDE, WIDTH = 16, 512  # 256 tokens of 512 numbers an image: half a MB


def wide_vlm():
    """As `tiny_vlm`, with an LLM of one wide layer."""
    tokenizer = tiny_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=8,
    )
    language = Language(LlamaForCausalLM(config).eval(), tokenizer)
    encoder = TinyEncoder(image_px=8 * SIDE)
    projector = mlp.build(
        mlp.Config(hidden=24), encoder_width=encoder.width, llm_width=WIDTH, embeddings_rms=0.5
    )
    return VLM(encoder, projector, language, Preprocess(image_px=8 * SIDE)).eval()


def projected(vlm, count, store, side=SIDE):
    samples = [tiny_sample(i, size_hw=(64, 64)) for i in range(count)]

    def views(sample):
        generator = torch.Generator().manual_seed(sample.size_hw[0] + int(sample.id[-1:] or 0))
        return [torch.randn(side, side, vlm.encoder.width, generator=generator)]

    return project_samples(vlm, samples, views, keep_features=count, store=store)


def measure(vlm, held_out, measures):
    options = MeasureConfig(measures=measures, bootstrap_draws=20)
    return measure_alignment(Subject(vlm=vlm, held_out=held_out, names=NAMES, options=options))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rows_come_back_bit_for_bit(tmp_path, dtype):
    store = RowStore(tmp_path, memory_bytes=100)
    rows = [torch.randn(n, 5).to(dtype) for n in (2, 7, 0, 40, 1)]
    kept = [store.keep(r) for r in rows]
    assert isinstance(kept[0], torch.Tensor)
    assert isinstance(kept[3], StoredRows)
    assert isinstance(kept[4], StoredRows)  # in order, though it would fit
    for back, row in zip(kept, rows, strict=True):
        assert read_rows(back).dtype == dtype
        assert torch.equal(read_rows(back), row)
    assert not list(tmp_path.iterdir())  # nothing is left where the process is killed


def test_a_folder_that_takes_nothing_is_a_mistake_with_a_cure(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="memory_mb"):
        RowStore(tmp_path / "file", 0).keep(torch.zeros(1, 1))


def test_figures_are_the_same_from_the_file(tmp_path):
    vlm = tiny_vlm(image_px=64)
    chosen = {"embedding": {"pursuit_scenes": 2}, "layers": {"k": 2}, "attention": {}}
    chosen |= {"regions": {}, "localisation": {}, "presence": {}, "caption_nll": {}}
    stores = (None, RowStore(tmp_path, 1 << 13), RowStore(tmp_path, 0))
    memory, some, file = (measure(vlm, projected(vlm, 12, s, side=8), chosen) for s in stores)
    assert memory == some == file
    assert stores[2].stored_bytes == 12 * 64 * (32 + 12) * 4


@pytest.fixture
def whole_pages():
    """Each block of 64 KiB and more in pages of its own, so that a freed one is seen to be."""
    threshold, libc = -3, ctypes.CDLL(None)  # M_MMAP_THRESHOLD
    libc.mallopt(threshold, 1 << 16)
    yield
    libc.mallopt(threshold, 1 << 25)


@pytest.mark.slow
@pytest.mark.skipif(not PAGES.exists(), reason="the peak of memory is read from /proc")
@pytest.mark.parametrize(
    "chosen",
    [
        {"embedding": {"pursuit_scenes": 0}},
        {"layers": {"scenes": 96, "k": 2, "mir_tokens": 64}},
        {"attention": {"scenes": 96}},
    ],
    ids=lambda chosen: next(iter(chosen)),
)
def test_memory_does_not_grow_with_the_images(chosen, tmp_path, whole_pages):
    vlm = wide_vlm()
    tokens = 72 * SIDE * SIDE * WIDTH * 4  # of 72 images: 38 MB
    peak: dict[tuple[int, bool], int] = {}
    for count, in_file in ((12, True), (24, True), (96, True), (96, False)):
        store = RowStore(tmp_path, 0) if in_file else None
        before = _start_peak()
        measure(vlm, projected(vlm, count, store), chosen)
        peak[count, in_file] = _read_status("VmHWM") - before
    assert peak[96, True] - peak[24, True] < tokens / 3
    assert peak[96, False] - peak[96, True] > tokens / 2  # so it would be noticed


def _start_peak() -> int:
    """Free memory goes back to the system and the peak starts again; bytes now in use."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    PAGES.write_text("5")
    return _read_status("VmRSS")


def _read_status(name: str) -> int:
    """Bytes of this process, of /proc/self/status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    line = next(line for line in lines if line.startswith(name))
    return int(line.split()[1]) * 1024


def test_layer_states_are_as_large_as_stated():
    vlm = tiny_vlm(image_px=64)
    documents = open_documents(vlm, projected(vlm, 9, None, side=8), Frame())
    states = read_layers(
        vlm,
        documents,
        tokens=16,
        batch_tokens=256,
        generator=np.random.default_rng(0),
        done=lambda tokens: None,
    )
    layers, width, images, kept = 3, vlm.language.width, 9, 16
    fields = vars(states).values()
    sides = [field for field in fields if isinstance(field, torch.Tensor)]
    assert sum(side.numel() for side in sides) == 2 * layers * width * (images + kept)
    assert all(side.untyped_storage().nbytes() == 4 * side.numel() for side in sides)
    assert states.visual_image_K.shape == states.text_image_K.shape == (kept,)


def test_of_an_attention_map_its_readings_are_kept():
    vlm = tiny_vlm(image_px=64)
    (query,) = open_queries(vlm, projected(vlm, 1, None, side=8), Frame(), "entity", "")
    with record_rows(vlm.language):
        maps = read_map(vlm, query)
    layers, readings = 2, 4
    for one, kept in zip(maps, map(read_readings, maps), strict=True):
        assert one.weight_LP.shape == (layers, 64)
        assert [len(values) for values in kept.value_L.values()] == [layers] * readings
        assert not any(isinstance(field, np.ndarray) for field in vars(kept).values())
