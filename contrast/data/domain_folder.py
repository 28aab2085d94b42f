"""A user's own domains: class folders below a folder a domain."""

import hashlib
from dataclasses import dataclass
from pathlib import PurePosixPath

from contrast.component import require, require_count
from contrast.data.domains import Domains


@dataclass(frozen=True, kw_only=True)
class DomainFolder(Domains):
    """Colour images in `<root>/<images>/<domain>/<class>/*` with `target` left out; OfficeHome and DomainNet look so.

    `images` names the folder under the data root, `domains` the folders in it that count (2 or more), `count` (1 to 1000000) is the
    number of classes, which every domain must have. See `Domains`.
    """

    images: str
    domains: tuple[str, ...]
    count: int

    def __post_init__(self) -> None:
        require_count(self, "count", 10**6, "State the number of classes.")
        path = PurePosixPath(self.images)
        inside = self.images != "" and not path.is_absolute() and ".." not in path.parts
        require(inside, self, "images", "must name a folder under the data root", "Leave out a leading / and any '..'.")
        different = len(self.domains) >= 2 and len(set(self.domains)) == len(self.domains)
        require(different, self, "domains", "must name at least two domains, each once", "Name the folders below images.")
        plain = all(domain not in ("", ".", "..") and "/" not in domain for domain in self.domains)
        require(plain, self, "domains", "must be names of folders", "Name the folders below images, without a path.")
        super().__post_init__()

    @property
    def folder(self) -> str:
        """`images`."""
        return self.images

    @property
    def domain_names(self) -> tuple[str, ...]:
        """`domains`."""
        return self.domains

    @property
    def class_count(self) -> int:
        """`count`."""
        return self.count

    @property
    def name(self) -> str:
        """With a digest of the domains, in whose order ids count."""
        return f"{super().name}-{hashlib.sha256(repr(self.domains).encode()).hexdigest()[:8]}"
