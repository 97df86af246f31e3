import re

import pytest

from diglot.core.errors import ConfigError
from diglot.embedded.catalog import ASSETS, find_assets


def test_every_entry_is_pinned_and_described() -> None:
    assert len({a.name for a in ASSETS}) == len(ASSETS)
    for asset in ASSETS:
        assert re.fullmatch(r"[0-9a-f]{64}", asset.sha256), asset.name
        assert re.fullmatch(r"\d+(\.\d+)+", asset.version), asset.name
        assert all((asset.licence, asset.what, asset.use))
        assert min(asset.download_bytes, asset.cached_bytes) > 10_000


def test_names_keep_their_order_and_none_means_all() -> None:
    assert [a.name for a in find_assets(["emoji", "smollm2", "emoji"])] == ["emoji", "smollm2"]
    assert find_assets([]) == list(ASSETS)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"'smolm2'.*smollm2, efficientnet_lite0, cifar10"):
        find_assets(["smolm2"])
