"""Alignment and uniformity against closed forms and the quadratic-memory definition."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist

from analysis import Alignment, Uniformity
from contrast.augmentations.views import Views
from contrast.component import UserError
from contrast.random import uniform
from contrast.signals import alignment, uniformity


@dataclass(frozen=True)
class Noisy(Views):
    """Each view is the image plus noise of its own, drawn from the sample's id."""

    amount: float = 0.1
    views: int = 2

    @property
    def count(self):
        return self.views

    def __call__(self, pixels, ids, seed, epoch):
        noise = [uniform(seed, "noisy", ids, pixels[0].numel(), epoch=epoch, view=view) for view in range(self.views)]
        return pixels[:, None] + self.amount * torch.from_numpy(np.stack(noise, 1)).float().view(len(ids), self.views, *pixels.shape[1:])


def test_uniformity_equals_the_definition_over_all_pairs_to_1e_9():
    x = torch.randn(700, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    unit = torch.nn.functional.normalize(x, dim=1).numpy()
    for t in (0.5, 2.0):
        expected = np.log(np.exp(-t * pdist(unit, "sqeuclidean")).mean())
        assert uniformity(x, t).item() == pytest.approx(expected, abs=1e-9)


def test_uniformity_of_a_collapsed_representation_is_0():
    assert uniformity(torch.ones(50, 8)).item() == pytest.approx(0, abs=1e-6)


def test_uniformity_of_two_antipodal_points_is_minus_4t():
    x = torch.tensor([[3.0, 0.0], [-0.5, 0.0]])
    assert uniformity(x, 2.0).item() == pytest.approx(-8, abs=1e-6)
    assert uniformity(x, 0.5).item() == pytest.approx(-2, abs=1e-6)


def test_uniformity_of_the_uniform_distribution_in_many_dimensions_is_near_minus_2t():
    x = torch.randn(1500, 2000, generator=torch.Generator().manual_seed(0))
    assert uniformity(x, 2.0).item() == pytest.approx(-4, abs=2e-2)


def test_uniformity_has_a_gradient_and_refuses_one_sample():
    x = torch.randn(6, 3, dtype=torch.float64, requires_grad=True, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(uniformity, (x,))
    with pytest.raises(ValueError, match="two or more"):
        uniformity(torch.ones(1, 3))


def test_alignment_closed_forms():
    x = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    y = torch.tensor([[0.0, 5.0], [0.0, -1.0]])  # distances sqrt 2 and 2 on the sphere
    assert alignment(x, 3 * x).item() == pytest.approx(0, abs=1e-12)
    assert alignment(x, y).item() == pytest.approx((2 + 4) / 2)
    assert alignment(x, y, alpha=1.0).item() == pytest.approx((2**0.5 + 2) / 2)
    assert alignment(x, y, alpha=3.0).item() == pytest.approx((2**1.5 + 8) / 2)


def test_the_measures_read_encoder_features(lab, blobs, tuned, conv_net):
    data = blobs().held_out("search")
    stage = lab.put(tuned(data), conv_net)
    pixels, _ = lab.workspace.pixels(data)
    ids = lab.workspace.images(data).ids
    with torch.no_grad():
        features = conv_net.features(pixels)
        first, second = map(conv_net.features, Noisy()(pixels, ids, 3, 0).unbind(1))
    results, _ = lab.run(Uniformity(stage, on=data, t=1.5))
    assert results == {"uniformity": pytest.approx(uniformity(features, 1.5).item(), abs=1e-6)}
    results, _ = lab.run(Alignment(stage, on=data, views=Noisy(), seed=3, alpha=1.0))
    assert results == {"alignment": pytest.approx(alignment(first, second, 1.0).item(), abs=1e-6)}
    assert results["alignment"] > 0
    assert lab.run(Alignment(stage, on=data, views=Noisy(amount=0.0)))[0]["alignment"] == pytest.approx(0, abs=1e-9)


def test_bad_fields_are_refused(blobs, tuned):
    data, stage = blobs(), tuned(blobs())
    for make, field in (
        (lambda: Uniformity(stage, on=data, t=0.0), "t"),
        (lambda: Alignment(stage, on=data, views=Noisy(views=1)), "views"),
        (lambda: Alignment(stage, on=data, views=Noisy(), alpha=-1.0), "alpha"),
        (lambda: Alignment((stage, stage), on=data, views=Noisy()), "of"),
    ):
        with pytest.raises(UserError, match=rf"\.{field} = "):
            make()
