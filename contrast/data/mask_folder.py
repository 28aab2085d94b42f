"""A user's own segmented images: a folder of images and a folder of masks of the same names."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from contrast.component import UserError, require, require_count
from contrast.data.class_folders import HELD_OUT, is_image
from contrast.data.dataset import Dataset
from contrast.data.scaled import SUFFIXES
from contrast.data.scene_files import SceneFile, found_scenes
from contrast.data.segmented import IGNORED, Scenes, SegmentedImages, select_scenes
from contrast.data.source import Found, Split

_ALSO = {"train": ("train",), "test": HELD_OUT}


@dataclass(frozen=True, kw_only=True)
class MaskFolder(SegmentedImages):
    """Colour images in `<root>/<images>/<split>/images/*` and PNG masks `<split>/masks/*.png` of the same names.

    Splits are "train" and "test", "val" or "validation"; `images` names the folder under the data root, `count` (1 to 255) the
    classes of pixels. A mask holds the class of each pixel from 0, as palette index or grey level, and 255 for none.
    """

    images: str
    count: int
    side: int = 512

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count(self, "count", IGNORED, "State the number of classes of pixels, with the background.")
        path = PurePosixPath(self.images)
        inside = self.images != "" and not path.is_absolute() and ".." not in path.parts
        require(inside, self, "images", "must name a folder under the data root", "Leave out a leading / and any '..'.")

    @property
    def name(self) -> str:
        """The folder, the classes and the size."""
        return f"{self.images.strip('/').replace('/', '-')}-masks-{self.count}-{self.side}"

    @property
    def pixel_classes(self) -> int:
        """`count`."""
        return self.count

    def scenes(self, root: Path | None) -> Scenes:
        """The selected images with their masks; see `SegmentedImages`."""
        return select_scenes(self, root, _find)


def _find(dataset: Dataset, root: Path | None, split: Split) -> Found:
    assert isinstance(dataset, MaskFolder)
    if root is None or not root.is_dir():
        given = "is not set" if root is None else f"= {str(root)!r}"
        raise UserError(f"data {given}: must be the folder that holds {dataset.images}/. Set CONTRAST_DATA or --data to it.")
    homes = [root / dataset.images / name for name in _ALSO[split]]
    for home in homes:
        if scenes := _paired(home):
            return found_scenes(scenes, dataset)
    tried = "; ".join(f"{home / 'images'}/*, {home / 'masks'}/*.png" for home in homes)
    raise UserError(
        f"data = {str(root)!r}: the {split} images must be in one of the places tried, and are in none: {tried}. Put them there."
    )


def _paired(home: Path) -> list[SceneFile]:
    """Every image, and every mask, with the file that belongs to it, which may be missing."""
    images, masks = _by_name(home / "images", SUFFIXES), _by_name(home / "masks", (".png",))
    names = sorted(images.keys() | masks.keys())
    missing = {name: home / "images" / f"{name}.*" for name in names}, {name: home / "masks" / f"{name}.png" for name in names}
    return [SceneFile((missing[0] | images)[name], (missing[1] | masks)[name]) for name in names]


def _by_name(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """Files by their name without suffix; raises `UserError` for two of one name."""
    found: dict[str, Path] = {}
    for file in sorted(folder.iterdir()) if folder.is_dir() else []:
        if is_image(file, suffixes) and (other := found.setdefault(file.stem, file)) != file:
            raise UserError(f"{file}: has the name of {other.name}, and a mask belongs to one image. Rename or remove one of them.")
    return found
