"""K-means of the features of single places of an image: which parts an encoder tells apart without a label (METRICS 7, PROTOCOL 8.5)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from analysis.checks import require_finite_features, require_image_network, require_samples
from analysis.measure import Drawn, Measure, Parts
from analysis.representation.feature_maps import feature_maps, map_sizes
from analysis.representation.kmeans import kmeans
from analysis.representation.partitions import adjusted_rand, purity, silhouette
from analysis.subset import stratified
from contrast import random
from contrast.component import require, walk
from contrast.data.dataset import Dataset
from contrast.data.segmented import IGNORED, SegmentedImages
from contrast.encoders.encoder import Encoder
from contrast.model import Model
from contrast.stage import Metrics, Stage, Workspace

if TYPE_CHECKING:
    import matplotlib.figure

_SHOWN = 4  # images that are kept for the picture
_SILHOUETTE = 2000  # points, whose distances are all compared


class _Found(NamedTuple):
    """Of one layer: the cluster of every place, and inertia and silhouette of each k."""

    labels: Int64[Tensor, "k n h w"]
    scores: Float64[Tensor, "2 k"]


@dataclass(frozen=True)
class LocalClusters(Measure):
    """K-means with each k of `ks` (they increase) of the outputs of the stages `layers` of the encoder, before pooling.

    `layers`: None is every stage; 0 is the pixels as they are. Each place's features have length 1, so that clusters are of directions.
    `images` (a stratified subset; None is all) are clustered one by one, or `joint`ly, places of all images together. k-means++ begins
    `restarts` times, as (`seed`, k, id of the image) say, and the best is taken. On segmented images clusters, scaled up by the nearest,
    are compared with the masks; pixels without a class do not count, nor do images of one class. k above the places of a map is refused.

    Results, of the last layer and means over the images: `silhouette`, -1 to 1, the mean over `ks`, and of each k `silhouette_<k>` (of
    2000 places at most), `inertia_<k>` (mean squared distance to the centre, 0 to 1), with masks `ari_<k>`, the adjusted Rand index, and
    `purity_<k>`; `refinement`, the adjusted Rand index between a k and the next one; `ami`, the adjusted mutual information between
    neighbouring layers. An image of one feature is one cluster: inertia and silhouette 0.
    Arrays: `k` [K], `layer` [L], `inertia`, `silhouette`, with masks `ari`, `purity` [L, K], `refinement` [L, K-1], `ami` [L-1, K]; of the
    first images `pixels` uint8 [n, C, H, W] and `clusters_<layer>` uint8 [K, n, h, w], the largest cluster being 0.
    """

    on: Dataset
    ks: tuple[int, ...] = (2, 4, 8, 16)
    layers: tuple[int, ...] | None = None
    images: int | None = 32
    joint: bool = False
    restarts: int = 10
    seed: int = 0
    alone: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_image_network(self)
        staged = self._encoder is not None and self._encoder.stages > 0
        require(staged, self, "of", "must have an encoder with stages, whose maps are clustered", "Use a ResNet or a SmallResNet.")
        known = tuple(range(self._encoder.stages + 1)) if self._encoder is not None else ()
        layers = self.layers is None or (len(self.layers) > 0 and set(self.layers) <= set(known) and _increases(self.layers))
        require(layers, self, "layers", f"must increase and be among {known}, the pixels and the stages", "None is every stage.")
        good = len(self.ks) > 0 and self.ks[0] >= 2 and self.ks[-1] <= 255 and _increases(self.ks)
        require(good, self, "ks", "must be one or more integers from 2 to 255 that increase", "Use (2, 4, 8, 16).")
        require_samples(self, "images")
        require(self.restarts >= 1, self, "restarts", "must be at least 1", "Use 10.")
        require(self.seed >= 0, self, "seed", "must be 0 or above", "Give a non-negative integer.")

    @property
    def _encoder(self) -> Encoder | None:
        assert isinstance(self.of, Stage)
        return next((part for part in walk(self.of) if isinstance(part, Encoder)), None)

    @property
    def _layers(self) -> tuple[int, ...]:
        assert self._encoder is not None
        return tuple(range(1, self._encoder.stages + 1)) if self.layers is None else self.layers

    @property
    def length(self) -> int:
        """Parts: a layer each."""
        return len(self._layers)

    def check(self, size: Callable[[Dataset], int]) -> None:
        """Every map must have as many places as there are clusters; images have the encoder's channels."""
        super().check(size)
        assert self._encoder is not None
        sizes = map_sizes(self._encoder, self.on.shape)
        count = min(size(self.on), self.images or size(self.on)) if self.joint else 1
        layer, places = min(((layer, sizes[layer][0] * sizes[layer][1] * count) for layer in self._layers), key=lambda pair: pair[1])
        rule = f"must be at most {places}, the places of layer {layer}"
        require(self.ks[-1] <= places, self, "ks", rule, "Lower k, leave the layer out, cluster jointly, or use larger images.")

    def measure(self, model: Model, workspace: Workspace) -> Parts:
        """See the class."""
        images = workspace.images(self.on)
        self.check(lambda data: len(images.ids))
        rows = np.sort(stratified(images.labels, self.images))
        pixels, ids = np.array(images.pixels[rows]), np.asarray(images.ids)[rows]
        maps = feature_maps(model.net.to(workspace.device), pixels, self._layers)
        require_finite_features(self, *maps)
        done, state = workspace.restore()
        found = [_Found(state[f"labels_{i}"], state[f"scores_{i}"]) for i in range(done)]
        for part, places in enumerate(maps[done:], done + 1):
            found.append(self._clustered(places, ids))
            workspace.save(part, {}, {f"{name}_{i}": tensor for i, layer in enumerate(found) for name, tensor in layer._asdict().items()})
            yield {}
        arrays = {
            "inertia": [layer.scores[0].tolist() for layer in found],
            "silhouette": [layer.scores[1].tolist() for layer in found],
            "refinement": [[self._mean(adjusted_rand, a, b) for a, b in pairwise(layer.labels)] for layer in found],
            "ami": [[self._mean(_ami, *alike(a, b)) for a, b in zip(one.labels, two.labels, strict=True)] for one, two in pairwise(found)],
        }
        if isinstance(self.on, SegmentedImages):
            masks = torch.from_numpy(np.array(self.on.scenes(workspace.data).masks[rows])).long()
            for name, score in (("ari", adjusted_rand), ("purity", purity)):
                arrays[name] = [[self._against(masks, score, labels) for labels in layer.labels] for layer in found]
        shown = {f"clusters_{i}": one.labels[:, :_SHOWN].to(torch.uint8).numpy() for i, one in zip(self._layers, found, strict=True)}
        scores = {name: np.array(values, dtype=float) for name, values in arrays.items()}
        workspace.keep_arrays(k=np.array(self.ks), layer=np.array(self._layers), pixels=pixels[:_SHOWN], **scores, **shown)
        return self._results(scores)

    def _clustered(self, maps: Float[Tensor, "n i j d"], ids: np.ndarray) -> _Found:
        groups = maps.flatten(0, 2)[None] if self.joint else maps.flatten(1, 2)
        names, (_, places, _) = np.zeros(1, dtype=np.int64) if self.joint else ids, groups.shape
        some = torch.randperm(places, generator=random.generator(self.seed, "silhouette"))[:_SILHOUETTE]
        draws = [random.uniform(self.seed, f"{k}-means", names, self.restarts * k).reshape(len(names), self.restarts, k) for k in self.ks]
        labels: list[list[Tensor]] = [[] for _ in self.ks]
        scores = torch.zeros(2, len(self.ks), dtype=torch.float64)
        for group, x in enumerate(groups):
            distances = torch.cdist(x[some].double(), x[some].double()).fill_diagonal_(0)
            for i in range(len(self.ks)):
                clusters = kmeans(x, torch.from_numpy(draws[i][group]))
                labels[i].append(clusters.labels)
                scores[0, i] += clusters.inertia / places / len(groups)
                scores[1, i] += silhouette(distances, clusters.labels[some]) / len(groups)
        return _Found(torch.stack([torch.stack(each).view(maps.shape[:3]) for each in labels]), scores)

    def _mean(self, score: Callable[[Tensor, Tensor], float], a: Int64[Tensor, "n h w"], b: Int64[Tensor, "n h w"]) -> float:
        """Mean over the images of how alike two partitions of their places are; of joint ones they are all one image."""
        pairs = [(a.flatten(), b.flatten())] if self.joint else list(zip(a.flatten(1), b.flatten(1), strict=True))
        return float(np.mean([score(*pair) for pair in pairs]))

    def _against(self, masks: Int64[Tensor, "n h w"], score: Callable[[Tensor, Tensor], float], labels: Int64[Tensor, "n i j"]) -> float:
        """The same of clusters and masks; not a number where no image shows two classes."""
        large, scores = nearest(labels, masks.shape[1:]), []
        for a, b in [(large, masks)] if self.joint else list(zip(large, masks, strict=True)):
            counted = b != IGNORED
            if len(b[counted].unique()) > 1:
                scores.append(score(a[counted], b[counted]))
        return float(np.mean(scores)) if scores else float("nan")

    def _results(self, scores: dict[str, np.ndarray]) -> Metrics:
        last = {name: values[-1] for name, values in scores.items() if name in ("silhouette", "inertia", "ari", "purity")}
        results = {"silhouette": float(last["silhouette"].mean())}
        results |= {f"{name}_{k}": float(value) for name, values in last.items() for k, value in zip(self.ks, values, strict=True)}
        means = {"refinement": scores["refinement"][-1], "ami": scores["ami"]}
        return results | {name: float(values.mean()) for name, values in means.items() if values.size}

    @classmethod
    def figure(cls, drawn: Sequence[Drawn]) -> "matplotlib.figure.Figure":
        """Some images beside the clusters of their places."""
        from analysis.figures.local_clusters import local_clusters

        return local_clusters(drawn)


def _increases(values: tuple[int, ...]) -> bool:
    return all(a < b for a, b in pairwise(values))


def nearest(labels: Int64[Tensor, "n i j"], size: Sequence[int]) -> Int64[Tensor, "n h w"]:
    """Labels at another size, each place having that of the place it falls on."""
    down, right = (torch.arange(new) * old // new for new, old in zip(size, labels.shape[1:], strict=True))
    return labels[:, down][:, :, right]


def alike(a: Int64[Tensor, "n i j"], b: Int64[Tensor, "n k l"]) -> tuple[Int64[Tensor, "n h w"], Int64[Tensor, "n h w"]]:
    """Both at the size of the larger one."""
    size = max(a.shape[1:], b.shape[1:])
    return nearest(a, size), nearest(b, size)


def _ami(a: Int64[Tensor, " n"], b: Int64[Tensor, " n"]) -> float:
    from sklearn.metrics import adjusted_mutual_info_score  # which takes half a second to load

    return float(adjusted_mutual_info_score(a.numpy(), b.numpy()))
