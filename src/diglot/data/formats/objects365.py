"""Objects365 (Shao et al. 2019): COCO's schema, with file names from the root of its download.

`zhiyuan_objv2_train.json` names "images/v1/patch8/objects365_v1_00420917.jpg"; the archives hold
"patch8/objects365_v1_00420917.jpg". Either is found below the image folder.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diglot.data.formats.coco import Coco
from diglot.data.formats.coco import Config as CocoConfig

_ROOT = re.compile(r"^images/v[12]/")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Where the files of Objects365 lie."""

    path: Path
    """`zhiyuan_objv2_train.json` or its like."""
    images: Path
    """The folder that holds patch0, patch1, ..."""
    crowds: bool = False
    """Keep the regions of crowds, which are many objects at once."""


def build(config: Config) -> Coco:
    """COCO's reader with file names cut to what the archives hold; its writer without captions."""
    inner = CocoConfig(path=config.path, images=config.images, crowds=config.crowds)
    return Coco(inner, file_name=_cut_root, captions=False)


def _cut_root(name: Any) -> Any:
    return _ROOT.sub("", name) if isinstance(name, str) else name
