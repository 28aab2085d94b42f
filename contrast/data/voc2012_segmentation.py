"""PASCAL VOC 2012, the part with segmented images, in its official layout."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from contrast.component import UserError
from contrast.data.dataset import Dataset
from contrast.data.scene_files import SceneFile, found_scenes
from contrast.data.segmented import Scenes, SegmentedImages, select_scenes
from contrast.data.source import Found, Split

_HOME = Path("VOCdevkit", "VOC2012")
_LISTS = {"train": "train.txt", "test": "val.txt"}


@dataclass(frozen=True, kw_only=True)
class VOC2012Segmentation(SegmentedImages):
    """Twenty kinds of objects and the background; 1,464 images of train and, as test split, the 1,449 of val (PROTOCOL 7.5).

    Read from `<root>/VOCdevkit/VOC2012`: JPEGImages, SegmentationClass and the lists in ImageSets/Segmentation.
    """

    side: int = 512

    pixel_classes: ClassVar[int] = 21

    @property
    def name(self) -> str:
        """With the size."""
        return f"voc2012-segmentation-{self.side}"

    def scenes(self, root: Path | None) -> Scenes:
        """The selected images with their masks; see `SegmentedImages`."""
        return select_scenes(self, root, _find)


def _find(dataset: Dataset, root: Path | None, split: Split) -> Found:
    assert isinstance(dataset, VOC2012Segmentation)
    if root is None or not root.is_dir():
        given = "is not set" if root is None else f"= {str(root)!r}"
        raise UserError(f"data {given}: must be the folder that holds {_HOME}/. Set CONTRAST_DATA or --data to it.")
    home = root / _HOME
    listed = home / "ImageSets" / "Segmentation" / _LISTS[split]
    names, other = _names(listed), listed.with_name(_LISTS["test" if split == "train" else "train"])
    if shared := sorted(set(names) & set(_names(other))) if other.is_file() else []:
        raise UserError(f"{listed}: lists {shared[0]}, as {other.name} does ({len(shared)} are in both). Get both files again.")
    scenes = [SceneFile(home / "JPEGImages" / f"{name}.jpg", home / "SegmentationClass" / f"{name}.png") for name in names]
    return found_scenes(scenes, dataset, beside=(listed,))


def _names(listed: Path) -> list[str]:
    try:
        names = listed.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        cure = "Unpack VOCtrainval_11-May-2012.tar under the data folder."
        raise UserError(f"{listed}: must list the images, a name a line, and cannot be read ({error}). {cure}") from error
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None) if len(set(names)) < len(names) else None
    if twice is not None or not names:
        rule = "lists no image" if twice is None else f"lists {twice} twice"
        raise UserError(f"{listed}: {rule}. Get that file again.")
    return names
