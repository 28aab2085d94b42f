"""Trajectories at equal progress: points of the geodesic as closed forms, and the measure against what it was given."""

from math import acos, sin

import numpy as np
import pytest
import torch

from analysis import Tube
from analysis.geometry.bhattacharyya import pairwise, uniform_model
from analysis.geometry.progress import length_ratio, progress
from analysis.geometry.trajectory import at_progress, between_points, mutual, passes, riemann_length
from contrast.component import UserError

ANGLE = acos(4**-0.5)


def on_geodesic(t, labels):
    """Log-probabilities of four classes at t between ignorance and truth, by the textbook formula."""
    point = torch.full((len(labels), 4), 0.5 * sin((1 - t) * ANGLE) / sin(ANGLE), dtype=torch.float64)
    point[torch.arange(len(labels)), labels] += sin(t * ANGLE) / sin(ANGLE)
    return 2 * point.log()


def straight(t, labels):
    return torch.stack([on_geodesic(x, labels) for x in t])


def test_a_trajectory_along_the_geodesic_is_at_each_progress_where_the_geodesic_is():
    labels = torch.arange(40) % 4
    run = straight([0.1, 0.35, 0.4, 0.8], labels)
    t = progress(run, labels)
    assert [passes(t, place) for place in (0.05, 0.11, 0.79, 0.81)] == [False, True, True, False]
    for place in (0.1, 0.2, 0.35, 0.61, 0.8):
        wanted = on_geodesic(place, labels)
        assert (at_progress(run, t, min(place, t.max().item())) - (wanted / 2).exp()).abs().max() < 1e-7


def test_a_trajectory_that_falls_back_is_taken_where_it_first_came_so_far():
    labels = torch.arange(40) % 4
    t = [0.1, 0.5, 0.3, 0.9]
    found = at_progress(straight(t, labels), torch.tensor(t, dtype=torch.float64), 0.4)
    assert (found - (on_geodesic(0.4, labels) / 2).exp()).abs().max() < 1e-12


def test_length_of_a_straight_trajectory_is_its_angle():
    labels = torch.arange(40) % 4
    assert riemann_length(straight([0.1, 0.2, 0.7], labels)) == pytest.approx(0.6 * ANGLE, abs=1e-10)
    assert riemann_length(straight([0.1, 0.7, 0.2], labels)) == pytest.approx(1.1 * ANGLE, abs=1e-10)
    assert riemann_length(straight([0.1], labels)) == 0


def test_a_way_between_equal_points_stays_there():
    points = (uniform_model(5, 4) / 2).exp()
    assert (between_points(points, points, 0.3) - points).abs().max() < 1e-15


def test_mutual_distances_are_those_of_all_pairs():
    p = torch.randn(5, 30, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).log_softmax(2)
    assert (mutual((p / 2).exp()) - pairwise(p)[0]).abs().max() < 1e-12


def run_of(lab, stage, log_probs):
    images = lab.workspace.images(stage.data)
    return lab.put(stage, log_probs=log_probs.float().numpy(), labels=images.labels, ids=images.ids)


def noisy(labels, seed, epochs=6, pace=1.0):
    draws = torch.Generator().manual_seed(seed)
    logits = 0.3 * torch.randn(epochs, len(labels), 4, generator=draws)
    logits[:, torch.arange(len(labels)), labels] += pace * torch.linspace(0.2, 4, epochs)[:, None]
    return logits.log_softmax(2)


def test_trainings_along_one_way_at_another_pace_have_a_tube_of_no_width(lab, blobs, tuned):
    data = blobs().fit("search")
    labels = torch.from_numpy(lab.workspace.images(data).labels)
    paces = ([0.1, 0.3, 0.5, 0.9], [0.05, 0.6, 0.85])
    of = tuple(run_of(lab, tuned(data, seed), straight(t, labels)) for seed, t in enumerate(paces))
    results, arrays = lab.run(Tube(of))
    assert list(results) == ["distance", "width", "length"]
    assert arrays["t"][[0, -1]] == pytest.approx([0.05, 0.9], abs=1e-6)
    both = (arrays["t"] >= 0.1) & (arrays["t"] <= 0.85)
    assert np.isfinite(arrays["distance"][:, 0, 1]).tolist() == both.tolist()
    assert results["width"] == pytest.approx(0, abs=1e-6)
    assert results["length"] == pytest.approx(0.8 * ANGLE, abs=1e-5)
    assert arrays["length_ratio"] == pytest.approx([1, 1], abs=1e-4)


def test_the_measure_tells_replicates_from_other_recipes(lab, blobs, tuned):
    data = blobs().fit("search")
    labels = torch.from_numpy(lab.workspace.images(data).labels)
    of = tuple(
        run_of(lab, tuned(data, seed, method), noisy(labels, 7 * seed + len(method), pace=pace))
        for seed, method, pace in ((0, "simclr", 1.0), (1, "simclr", 0.8), (0, "vae", 1.0))
    )
    results, arrays = lab.run(Tube(of))
    between = np.nanmean(arrays["distance"], axis=0)
    assert arrays["distance"].shape == (51, 3, 3)
    assert results["width"] == pytest.approx(between[0, 1])
    assert results["apart"] == pytest.approx((between[0, 2] + between[1, 2]) / 2)
    assert results["distance"] == pytest.approx((between[0, 1] + between[0, 2] + between[1, 2]) / 3)
    kept = [torch.from_numpy(lab.workspace.of(stage).arrays()["log_probs"]) for stage in of]
    assert arrays["length_ratio"] == pytest.approx([length_ratio(run) for run in kept])
    assert arrays["length"] == pytest.approx([riemann_length(run) for run in kept])
    place = arrays["t"][20]
    points = torch.stack([at_progress(run, progress(run, labels), place) for run in kept])
    assert np.abs(arrays["distance"][20] - mutual(points).numpy()).max() < 1e-12
    order = np.random.default_rng(0).permutation(len(labels))
    shuffled = torch.stack([at_progress(run[:, order], progress(run[:, order], labels[order]), place) for run in kept])
    assert (mutual(shuffled) - mutual(points)).abs().max() < 1e-6


def test_a_tube_is_refused_of_one_run_and_of_runs_that_share_no_progress(lab, blobs, tuned):
    data = blobs().fit("search")
    labels = torch.from_numpy(lab.workspace.images(data).labels)
    one = run_of(lab, tuned(data), straight([0.1, 0.3], labels))
    with pytest.raises(UserError, match=r"Tube\.of = .*two stages or more"):
        Tube((one,))
    with pytest.raises(UserError, match=r"Tube\.of = .*one data set"):
        Tube((one, tuned(blobs().whole)))
    late = run_of(lab, tuned(data, 1), straight([0.5, 0.9], labels))
    with pytest.raises(UserError, match="share no progress: none comes to where another begins"):
        lab.run(Tube((one, late)))
