"""The names that residual networks have in published files, which all follow torchvision's, and those they have here."""

_STEM = {"conv1": "stem.0", "bn1": "stem.1"}


def residual_name(name: str) -> str:
    """`conv1.weight` -> `stem.0.weight`, `layer1.0.downsample.1.bias` -> `stage1.0.shortcut.1.bias`; other names as they are."""
    first, _, rest = name.partition(".")
    if first in _STEM:
        return f"{_STEM[first]}.{rest}"
    if first.startswith("layer"):
        return f"stage{first.removeprefix('layer')}.{rest}".replace(".downsample.", ".shortcut.")
    return name
