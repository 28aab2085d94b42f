"""InPCA: its embedding against the signed isometry and float64 brute force, its measure against what it was given."""

from math import sqrt

import numpy as np
import pytest
import torch
from scipy.stats import binom

from analysis import InPCA, InPCAProjection
from analysis.geometry.bhattacharyya import FLOOR, between, pairwise, true_model, uniform_model
from analysis.geometry.inpca import centred, embed, explained_stress, project
from contrast.component import UserError


def models(m=6, n=40, c=5, seed=0, scale=2.0):
    """Log-probabilities of models that know more and more of the labels, and the labels."""
    draws = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, c, (n,), generator=draws)
    logits = scale * torch.randn(m, n, c, dtype=torch.float64, generator=draws)
    logits[:, torch.arange(n), labels] += torch.linspace(-1, 3, m, dtype=torch.float64)[:, None]
    return logits.log_softmax(-1), labels


def test_coordinates_keep_every_distance_with_the_signs_of_their_axes():
    p, labels = models(18, scale=4.0)
    p = torch.cat([p, uniform_model(40, 5)[None], true_model(labels, 5)[None]])
    distance, _ = pairwise(p)
    values, x = embed(distance)
    back = ((x[:, None] - x[None, :]) ** 2 * values.sign()).sum(-1)
    assert (back - distance).abs().max() < 1e-12
    assert (values < -1e-6).any(), "the case must have an imaginary axis to say anything"
    assert (values.abs().diff() <= 1e-15).all()


def test_embedding_equals_brute_force_for_20_models():
    p, _ = models(20, scale=3.0)
    q = np.exp(0.5 * p.numpy())
    distance = np.array([[-np.log(np.clip((a * b).sum(1), FLOOR, 1)).mean() for b in q] for a in q])
    centring = np.eye(20) - np.ones((20, 20)) / 20
    w = -0.5 * centring @ distance @ centring
    values, vectors = np.linalg.eigh(w)
    order = np.argsort(-np.abs(values))
    found_values, found = embed(pairwise(p)[0])
    assert np.abs(found_values.numpy() - values[order]).max() < 1e-7
    expected = vectors[:, order] * np.sqrt(np.abs(values[order]))
    for axis in range(5):
        sign = np.sign(found[:, axis].numpy() @ expected[:, axis])
        assert np.abs(sign * found[:, axis].numpy() - expected[:, axis]).max() < 1e-7
    rebuilt = (found * found_values.sign()) @ found.T
    assert rebuilt.sum(0).abs().max() < 1e-10
    assert rebuilt.sum(1).abs().max() < 1e-10
    truncated = (vectors[:, order[:3]] * values[order[:3]]) @ vectors[:, order[:3]].T
    expected_stress = 1 - np.linalg.norm(w - truncated) ** 2 / np.linalg.norm(w) ** 2
    assert explained_stress(found_values, 3) == pytest.approx(expected_stress, abs=1e-10)


def test_embedding_does_not_depend_on_the_order_of_samples():
    p, _ = models(12)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    assert (embed(pairwise(p[:, order])[0])[0] - embed(pairwise(p)[0])[0]).abs().max() < 1e-12


def test_a_family_with_one_parameter_has_one_dominant_axis():
    probabilities = np.stack([binom.pmf(np.arange(9), 8, q) for q in np.linspace(0.4, 0.6, 15)])
    values, x = embed(pairwise(torch.from_numpy(probabilities).log()[:, None, :])[0])
    assert explained_stress(values, 1) > 0.999
    steps = x[:, 0].diff()
    assert (steps > 0).all() or (steps < 0).all()


def test_a_landmark_that_is_projected_gets_its_own_coordinates():
    p, labels = models(14, scale=3.0)
    p = torch.cat([p, uniform_model(40, 5)[None], true_model(labels, 5)[None]])
    distance, _ = pairwise(p)
    values, x = embed(distance)
    again, clipped = between(p[3:9], p)
    assert (again - distance[3:9]).abs().max() < 1e-12
    assert clipped == (torch.cat([((u / 2).exp() * (p / 2).exp()).sum(2).flatten() for u in p[3:9]]) < FLOOR).double().mean()
    placed = project(centred(again, distance), values[:5], x[:, :5])
    assert (placed - x[3:9, :5]).abs().max() < 1e-10


def test_on_all_axes_a_new_point_keeps_what_of_its_distances_the_landmarks_span():
    """In a flat space the rule is the orthogonal projection: the landmarks here span a plane, and the new points lie in it."""
    draws = torch.Generator().manual_seed(0)
    old, new = torch.randn(9, 2, dtype=torch.float64, generator=draws), torch.randn(4, 2, dtype=torch.float64, generator=draws)
    distance = torch.cdist(old, old) ** 2
    values, x = embed(distance)
    placed = project(centred(torch.cdist(new, old) ** 2, distance), values[:5], x[:, :5])
    assert (torch.cdist(placed[:, :2], x[:, :2]) - torch.cdist(new, old)).abs().max() < 1e-10
    assert placed[:, 2:].abs().max() == 0


def trajectories(lab, blobs, tuned, runs, epochs=4):
    data = blobs().fit("search")
    images = lab.workspace.images(data)
    n = len(images.labels)
    stages = []
    for seed, method in runs:
        draws = torch.Generator().manual_seed(1000 * seed + len(method))
        logits = 0.5 * torch.randn(epochs, n, 4, generator=draws)
        logits[:, torch.arange(n), torch.from_numpy(images.labels)] += torch.linspace(0, 4, epochs)[:, None]
        p = logits.log_softmax(-1)
        stages.append(lab.put(tuned(data, seed, method), log_probs=p.numpy(), labels=images.labels, ids=images.ids))
    return tuple(stages)


def test_a_training_without_arrays_has_no_trajectory(lab, blobs, tuned):
    stage = lab.put(tuned(blobs(), 0, "simclr"))
    (lab.workspace.of(stage).folder / "arrays.npz").unlink()
    with pytest.raises(UserError, match="must keep log-probabilities"):
        lab.run(InPCA((stage,)))


def test_inpca_measure_embeds_all_runs_and_one_copy_of_each_end(lab, blobs, tuned):
    of = trajectories(lab, blobs, tuned, [(0, "simclr"), (1, "simclr"), (0, "supcon")])
    results, arrays = lab.run(InPCA(of, dimensions=2))
    assert next(iter(results)) == "explained_stress"
    assert arrays["coordinates"].shape == (14, 5)
    assert arrays["model"].tolist() == [0] * 4 + [1] * 4 + [2] * 4 + [-1, -2]
    assert arrays["epoch"].tolist() == [0, 1, 2, 3] * 3 + [0, 0]
    kept = [torch.from_numpy(lab.workspace.of(stage).arrays()["log_probs"]) for stage in of]
    labels = torch.from_numpy(lab.workspace.images(of[0].data).labels)
    n = len(labels)
    distance, clipped = pairwise(torch.cat([*kept, uniform_model(n, 4)[None].float(), true_model(labels, 4)[None].float()]))
    values, _ = embed(distance)
    assert np.allclose(arrays["eigenvalues"], values, atol=1e-12)
    assert results["explained_stress"] == pytest.approx(explained_stress(values, 2))
    assert results["explained_norm"] == pytest.approx(1 - sqrt(1 - results["explained_stress"]))
    assert results["negative_share"] == pytest.approx((-values[values < 0].sum() / values.abs().sum()).item())
    assert results["clipped_share"] == clipped
    spread = distance[[0, 1, 2, 3], [4, 5, 6, 7]].mean().item()  # the two seeds of simclr at equal epochs
    assert results["seed_spread"] == pytest.approx(spread, abs=1e-12)
    first = arrays["coordinates"][:, 0]
    assert first[-1] > first[-2], "axis 1 points from ignorance to truth"
    largest = np.take_along_axis(arrays["coordinates"], np.abs(arrays["coordinates"]).argmax(0)[None], 0)[0]
    assert (largest[1:] > 0).all()


def test_projection_measure_puts_new_runs_on_the_axes_that_are_there(lab, blobs, tuned):
    old = trajectories(lab, blobs, tuned, [(0, "simclr"), (0, "supcon")])
    (new,) = trajectories(lab, blobs, tuned, [(7, "vae")])
    onto = InPCA(old, dimensions=2)
    _, axes = lab.run(onto)
    lab.put(onto, **axes)
    results, arrays = lab.run(InPCAProjection((old[1], new), onto=onto))
    assert arrays["model"].tolist() == [0] * 4 + [1] * 4 + [-3] * 4 + [-4] * 4 + [-1, -2]
    assert arrays["epoch"].tolist() == [0, 1, 2, 3] * 4 + [0, 0]
    assert np.abs(arrays["coordinates"][:4] - axes["coordinates"][4:8]).max() < 1e-10
    assert np.array_equal(arrays["coordinates"][8:], axes["coordinates"])
    assert np.array_equal(arrays["eigenvalues"], axes["eigenvalues"])
    assert 0 < results["explained_stress"] <= 1
    alone, _ = lab.run(InPCAProjection((old[1],), onto=onto))
    kept = [torch.from_numpy(lab.workspace.of(stage).arrays()["log_probs"]) for stage in old]
    labels = torch.from_numpy(lab.workspace.images(new.data).labels)
    ends = torch.stack([uniform_model(len(labels), 4), true_model(labels, 4)]).float()
    values, x = embed(pairwise(torch.cat([*kept, ends]))[0])
    whole, two = ((x[4:8, :k] * values[:k].sign()) @ x[:, :k].T for k in (10, 2))
    expected = 1 - ((whole - two).square().sum() / whole.square().sum()).item()
    assert alone["explained_stress"] == pytest.approx(expected, abs=1e-9)


def test_projection_measure_refuses_runs_of_another_task(lab, blobs, tuned):
    (one,) = trajectories(lab, blobs, tuned, [(0, "simclr")])
    onto = InPCA((one,))
    with pytest.raises(UserError, match=r"InPCAProjection\.of = .*data set of `onto`"):
        InPCAProjection((tuned(blobs().whole),), onto=onto)
    with pytest.raises(UserError, match="a tuple of stages"):
        InPCAProjection(one, onto=onto)
    lab.put(onto, **lab.run(onto)[1])
    kept = lab.workspace.of(one).arrays()
    for seed, (field, values) in enumerate({"labels": kept["labels"][::-1], "ids": kept["ids"] + 1}.items()):
        strange = lab.put(tuned(one.data, seed=30 + seed), **(kept | {field: values}))
        with pytest.raises(UserError, match="samples and labels of `onto`"):
            lab.run(InPCAProjection((strange,), onto=onto))


def test_inpca_of_single_seeds_has_no_spread(lab, blobs, tuned):
    results, _ = lab.run(InPCA(trajectories(lab, blobs, tuned, [(0, "simclr"), (0, "supcon")])))
    assert "seed_spread" not in results


def test_inpca_refuses_runs_that_cannot_share_a_picture(lab, blobs, tuned):
    one, other = trajectories(lab, blobs, tuned, [(0, "simclr"), (1, "simclr")])
    kept = lab.workspace.of(other).arrays()
    with pytest.raises(UserError, match=r"InPCA\.of = .*one data set"):
        InPCA((one, tuned(blobs().whole)))
    for seed, (field, values) in enumerate({"labels": kept["labels"][::-1], "ids": kept["ids"] + 1}.items()):
        strange = lab.put(tuned(one.data, seed=10 + seed), **(kept | {field: values}))
        with pytest.raises(UserError, match="same samples and labels"):
            lab.run(InPCA((one, strange)))
    with pytest.raises(UserError, match="keep log-probabilities"):
        lab.run(InPCA((one, lab.put(tuned(one.data, seed=20)))))
    with pytest.raises(UserError, match="a tuple of stages"):
        InPCA(one)
    with pytest.raises(UserError, match=r"InPCA\.dimensions = 6"):
        InPCA((one, other), dimensions=6)
