"""K-means of feature maps: scikit-learn as the oracle of clusters and scores, and maps whose parts are known."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score, silhouette_score
from torch import nn
from torch.nn.functional import normalize

from analysis import LocalClusters
from analysis.representation.feature_maps import feature_maps, map_sizes
from analysis.representation.kmeans import kmeans, lloyd, plus_plus
from analysis.representation.local_clusters import alike, nearest
from analysis.representation.partitions import adjusted_rand, purity, silhouette
from contrast import ConvN, Digits, ResNet18, SmallResNet, Untrained, random
from contrast.component import UserError
from contrast.data.segmented import Scenes, SegmentedImages
from contrast.encoders.encoder import Encoder
from contrast.model import Net
from tests.analysis.conftest import Tuned


def uniforms(restarts, k, seed=0):
    return torch.rand(restarts, k, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def directions(n=400, d=8, seed=0, parts=5, spread=0.35):
    draws = torch.Generator().manual_seed(seed)
    means = torch.randn(parts, d, dtype=torch.float64, generator=draws)
    return normalize(means[torch.arange(n) % parts] + spread * torch.randn(n, d, dtype=torch.float64, generator=draws), dim=1)


@pytest.mark.parametrize("k", [2, 4, 8, 16])
def test_lloyd_ends_where_scikit_learn_does_from_the_same_centres(k):
    x = directions()
    centres = plus_plus(x, uniforms(3, k))
    labels, found = lloyd(x, centres)
    for restart in range(3):
        peer = KMeans(k, init=centres[restart].numpy(), n_init=1, tol=0, algorithm="lloyd").fit(x.numpy())
        assert np.array_equal(labels[restart], peer.labels_)
        np.testing.assert_allclose(found[restart], peer.cluster_centers_, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_best_of_ten_restarts_is_as_good_as_that_of_scikit_learn(dtype):
    x = directions()
    for k in (2, 4, 8):
        ours = kmeans(x.to(dtype), uniforms(10, k))
        peer = KMeans(k, n_init=20, random_state=0).fit(x.numpy())
        assert ours.inertia <= peer.inertia_ * (1.01 if k == 8 else 1 + 1e-6)
        assert ours.inertia == pytest.approx(((x - ours.centres[ours.labels]) ** 2).sum().item(), rel=1e-6)
        sizes = ours.labels.bincount()
        assert sizes.tolist() == sorted(sizes.tolist(), reverse=True)


def test_the_points_do_not_depend_on_how_many_are_compared_at_once(monkeypatch):
    x, draws = directions(), uniforms(4, 6)
    whole = kmeans(x, draws)
    monkeypatch.setattr("analysis.representation.kmeans._CELLS", 24 * 37)
    parted = kmeans(x, draws)
    assert torch.equal(parted.labels, whole.labels)
    assert parted.inertia == pytest.approx(whole.inertia, rel=1e-12)


def test_first_centres_lie_apart_and_follow_from_the_draws():
    x = torch.eye(6, dtype=torch.float64).repeat(50, 1)
    centres = plus_plus(x, uniforms(20, 6))
    assert all(len(restart.unique(dim=0)) == 6 for restart in centres), "a point that is a centre is not drawn again"
    assert torch.equal(centres, plus_plus(x, uniforms(20, 6)))
    assert torch.equal(plus_plus(x, uniforms(20, 6)[3:4])[0], centres[3]), "whatever the other restarts are"


def test_a_cluster_that_loses_its_points_begins_again_at_the_farthest():
    x = torch.tensor([[0.0], [0.1], [0.2], [5.0], [9.0]], dtype=torch.float64)
    labels, centres = lloyd(x, torch.tensor([[[0.1], [7.0], [100.0]]], dtype=torch.float64))
    assert labels[0].bincount(minlength=3).tolist() == [3, 1, 1]
    assert sorted(centres[0, :, 0].tolist()) == pytest.approx([0.1, 5.0, 9.0])


def test_points_that_are_all_alike_are_one_cluster():
    found = kmeans(torch.ones(9, 4), uniforms(3, 4))
    assert found.labels.tolist() == [0] * 9
    assert found.inertia == 0
    with pytest.raises(ValueError, match="k = 4: must be at most 3"):
        kmeans(torch.ones(3, 4), uniforms(3, 4))


@pytest.mark.parametrize("k", [2, 5, 9])
def test_silhouette_and_rand_index_are_those_of_scikit_learn(k):
    x = directions(200)
    labels = kmeans(x, uniforms(2, k)).labels
    labels[0] = k  # alone in its cluster
    assert silhouette(torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist"), labels) == pytest.approx(
        silhouette_score(x.numpy(), labels.numpy()), abs=1e-10
    )
    other = torch.arange(200) % 3
    assert adjusted_rand(labels, other) == pytest.approx(adjusted_rand_score(labels.numpy(), other.numpy()), abs=1e-12)
    assert adjusted_rand(labels, labels) == 1


def test_scores_of_partitions_by_hand():
    clusters, classes = torch.tensor([0, 0, 0, 1, 1, 2]), torch.tensor([4, 4, 1, 1, 1, 1])
    assert purity(clusters, classes) == 5 / 6
    assert silhouette(torch.zeros(6, 6), torch.zeros(6, dtype=torch.long)) == 0
    assert silhouette(torch.zeros(6, 6), clusters) == 0, "of points that are all alike"
    assert adjusted_rand(torch.zeros(6, dtype=torch.long), torch.zeros(6, dtype=torch.long)) == 1


@dataclass(frozen=True, kw_only=True)
class Halves(SegmentedImages):
    """Images of two colours side by side, their border further right from image to image, with masks; the top row has no class."""

    name = "halves"
    pixel_classes = 2

    def scenes(self, root):
        pixels, masks = np.zeros((5, 3, 16, 16), np.uint8), np.zeros((5, 16, 16), np.uint8)
        for i in range(5):
            pixels[i, 0], pixels[i, 1, :, 4 + 2 * i :] = 200, 250
            masks[i, :, 4 + 2 * i :] = 1
        masks[:, 0] = 255
        return Scenes(pixels, masks, np.arange(5) + 70)


@dataclass(frozen=True)
class Staged(Tuned):
    """A fine-tuning of an encoder that is known to have stages."""

    encoder: Encoder = SmallResNet(4)


def halved(stages=2):
    """Stages that keep the pixels, and one that scales them: places of one colour stay places of one direction."""
    parts = {"stem": nn.Identity(), "stage1": nn.Identity(), "stage2": nn.AvgPool2d(2), "stage3": nn.ReLU()}
    encoder = nn.Sequential()
    for name, part in parts.items():
        encoder.add_module(name, part)
    encoder.add_module("pool", nn.AdaptiveAvgPool2d(1))
    return Net((0.0,) * 3, (1.0,) * 3, encoder, nn.Identity())


@pytest.mark.parametrize("joint", [False, True])
def test_a_map_of_two_parts_is_parted_exactly(lab, joint):
    stage = lab.put(Staged(Halves(side=16)), halved())
    results, arrays = lab.run(LocalClusters(stage, on=Halves(side=16), ks=(2, 3), images=None, joint=joint))
    assert arrays["layer"].tolist() == [1, 2, 3]
    assert arrays["inertia"][:, 0] == pytest.approx(0, abs=1e-9)
    assert results["silhouette_2"] == pytest.approx(1)
    assert (results["purity_2"], results["ari_2"]) == (1, 1)
    assert results["ami"] == pytest.approx(1)
    assert arrays["clusters_1"].shape == (2, 4, 16, 16)
    assert arrays["clusters_3"].shape == (2, 4, 8, 8)
    masks = Halves(side=16).scenes(None).masks
    if not joint:
        assert set(np.unique(arrays["clusters_1"])) == {0, 1}, "of two colours no third cluster is made"
        large = [(image[1:] == image[1, 0]) == (mask[1:] == 0) for image, mask in zip(arrays["clusters_1"][0], masks[:4], strict=True)]
        assert np.all(large)
        assert arrays["clusters_1"][0, 0, 1, 0] == 1, "the larger part is 0"


@pytest.fixture
def real(lab):
    """Digits under an encoder that is not trained."""
    encoder = SmallResNet(4).build(1, random.generator(0, "encoder"))
    return lab.put(Staged(Digits()), Net(Digits().mean, Digits().std, encoder, nn.Identity()))


def test_scores_are_those_of_scikit_learn_on_the_normalised_places(lab, real):
    results, arrays = lab.run(LocalClusters(real, on=Digits(part="test"), ks=(2, 4), layers=(1, 2), images=4, restarts=30))
    maps = feature_maps(lab.workspace.model(real).net, arrays["pixels"], (1, 2))
    assert [tuple(each.shape[1:3]) for each in maps] == list(map_sizes(SmallResNet(4), (1, 8, 8))[1:3]) == [(8, 8), (4, 4)]
    lengths = maps[0].square().sum(dim=3).numpy()
    assert np.isclose(lengths, 1, atol=1e-5).mean() > 0.9
    assert not lengths[~np.isclose(lengths, 1, atol=1e-5)].any(), "but for places where all channels are 0"
    for layer, of in enumerate(maps):
        for i, k in enumerate((2, 4)):
            x = of.flatten(1, 2).double().numpy()
            labels = arrays[f"clusters_{layer + 1}"][i].reshape(4, -1).astype(int)
            best = [KMeans(k, n_init=30, random_state=0).fit(one).inertia_ / len(one) for one in x]
            assert arrays["inertia"][layer, i] == pytest.approx(np.mean(best), rel=1e-2)
            expected = [silhouette_score(*one) for one in zip(x, labels, strict=True)]
            assert arrays["silhouette"][layer, i] == pytest.approx(np.mean(expected), abs=1e-6)
    clusters = [arrays[f"clusters_{layer}"].astype(int) for layer in (1, 2)]
    larger = np.kron(clusters[1], np.ones((2, 2), dtype=int)).reshape(2, 4, 64)
    for i in range(2):
        expected = [adjusted_mutual_info_score(a, b) for a, b in zip(clusters[0][i].reshape(4, 64), larger[i], strict=True)]
        assert arrays["ami"][0, i] == pytest.approx(np.mean(expected))
    hierarchy = [adjusted_rand_score(a, b) for a, b in zip(*(each.reshape(4, -1) for each in clusters[1]), strict=True)]
    assert results["refinement"] == pytest.approx(np.mean(hierarchy))
    assert results["silhouette"] == pytest.approx(arrays["silhouette"][1].mean())
    assert list(results)[:5] == ["silhouette", "inertia_2", "inertia_4", "silhouette_2", "silhouette_4"]


def test_stopped_after_every_layer_the_clusters_are_the_same_bytes(lab, real):
    measure = LocalClusters(real, on=Digits(part="test"), ks=(2, 4), images=4)
    results, arrays = lab.run(measure)
    again, kept = lab.stopped(measure)
    assert again == results
    assert {name: array.tobytes() for name, array in kept.items()} == {name: array.tobytes() for name, array in arrays.items()}


def test_the_clusters_of_an_image_do_not_depend_on_the_others(lab, real):
    few, many = (LocalClusters(real, on=Digits(part="test"), ks=(2, 4), layers=(0, 2), images=images) for images in (3, 10))
    expected, whole = lab.run(few)[1], lab.run(many)[1]
    for name in ("clusters_0", "clusters_2"):
        assert np.array_equal(whole[name][:, :3], expected[name])


def test_a_constant_map_is_one_cluster(lab):
    class Blank(nn.Module):
        def forward(self, x):
            return torch.ones_like(x)

    net = halved()
    net.encoder.stem = Blank()
    results, arrays = lab.run(LocalClusters(lab.put(Staged(Halves(side=16)), net), on=Halves(side=16), ks=(2, 4), layers=(3,)))
    assert (results["silhouette"], results["inertia_4"]) == (0, pytest.approx(0, abs=1e-12))
    assert not arrays["clusters_3"].any()
    assert "ami" not in results


def test_maps_of_two_sizes_are_compared_at_the_larger_one():
    small = torch.tensor([[[0, 1], [2, 3]]])
    large, same = alike(small, torch.arange(12).view(1, 3, 4))
    assert large.tolist() == [[[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3]]]
    assert torch.equal(same, torch.arange(12).view(1, 3, 4))
    assert torch.equal(nearest(small, (2, 2)), small)


def test_more_clusters_than_places_and_encoders_without_stages_are_refused_before_any_training():
    net, on = Untrained(data=Digits(), encoder=SmallResNet(4), seed=0), Digits(part="test")
    with pytest.raises(UserError, match=r"LocalClusters\.ks = .*must be at most 4, the places of layer 3"):
        LocalClusters(net, on=on).check(lambda data: 100)
    LocalClusters(net, on=on, layers=(0, 1, 2)).check(lambda data: 100)
    LocalClusters(net, on=on, joint=True).check(lambda data: 100)
    with pytest.raises(UserError, match=r"must be at most 12, the places of layer 3"):
        LocalClusters(net, on=on, joint=True).check(lambda data: 3)
    for change in (
        *({"ks": ks} for ks in ((), (1, 2), (4, 2), (2, 256))),
        *({"layers": layers} for layers in ((), (4,), (2, 1))),
        *({"images": 0}, {"restarts": 0}, {"seed": -1}),
    ):
        with pytest.raises(UserError, match=rf"LocalClusters\.{next(iter(change))} = "):
            LocalClusters(net, on=on, **change)
    with pytest.raises(UserError, match=r"LocalClusters\.of = .*must have an encoder with stages"):
        LocalClusters(Untrained(data=Digits(), encoder=ConvN(), seed=0), on=on)
    assert map_sizes(ResNet18("imagenet", 8), (3, 64, 64)) == ((64, 64), (16, 16), (8, 8), (4, 4), (2, 2))
