"""Whoever cannot know a change is at chance, whoever has it written in its features at 100 %; who is changed follows from the id."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import scipy
import torch
from scipy.stats import binom
from torch import nn

from analysis import TransformProbe
from analysis.representation.changes import chance, changed, classes, drawn, edges
from contrast.augmentations.grayscale import LUMA, luma
from contrast.component import UserError
from contrast.model import Net
from tests.analysis.conftest import Blobs

CHANGES = ("rotation", "color", "noise", "sobel")


@dataclass(frozen=True)
class Topped(Blobs):
    """Blobs under a bright row, so that which way is up can be seen."""

    name = "topped"

    def load(self, root):
        images = super().load(root)
        images.pixels[:, :, 0] = 255
        return images


class Coloured(nn.Module):
    """How far the channels are apart: 0 of a grey image."""

    def forward(self, x):
        return (x[:, 0] - x[:, 1]).abs().mean((1, 2))[:, None]


class Brightness(nn.Module):
    def forward(self, x):
        return luma(x).flatten(1)


class Mean(nn.Module):
    def forward(self, x):
        return x.mean((2, 3))


class Constant(nn.Module):
    def forward(self, x):
        return torch.ones(len(x), 3)


class Levels(nn.Module):
    """How often a pixel is no level of 8 bits, as noise leaves them."""

    def forward(self, x):
        return ((255 * x - (255 * x).round()).abs() > 1e-3).float().mean((1, 2, 3))[:, None]


def net(encoder, top=None):
    return Net((0.0,) * 3, (1.0,) * 3, encoder, top or nn.Identity())


def asked(lab, tuned, change, encoder, top=None, data=Topped):
    return lab.run(TransformProbe(lab.put(tuned(data()), net(encoder, top)), data().whole, data(part="test"), change))[0]


@pytest.mark.parametrize(
    ("change", "encoder"), [("rotation", nn.Flatten()), ("color", Coloured()), ("sobel", Coloured()), ("noise", Levels())]
)
def test_features_that_hold_the_change_know_all_of_it_and_a_head_that_drops_it_nothing(lab, tuned, change, encoder):
    results = asked(lab, tuned, change, nn.Sequential(encoder), nn.Sequential(Constant()))
    assert list(results) == ["h", "z", "chance", "unconverged"]
    assert results["h"] == 100
    on, data = (drawn(change, Topped(part=part).load(None).ids, 0) for part in ("test", "whole"))
    assert results["z"] == 100 * (on == data.mode().values).double().mean()
    assert results["chance"] == chance(change) == {"rotation": 25, "color": 80}.get(change, 50)


@pytest.mark.parametrize(("change", "encoder"), [("rotation", Mean()), ("color", Brightness())])
def test_an_encoder_that_does_not_see_the_change_is_at_chance(lab, tuned, change, encoder):
    """Turning leaves the mean as it is, and losing colour the brightness: of 80 images, so many in the interval of 99.99 %."""
    results = asked(lab, tuned, change, encoder)
    low, high = binom.interval(0.9999, 80, chance(change) / 100)
    assert low <= 0.8 * results["h"] <= high
    assert results["z"] == results["h"], "without a head g(h) is h"


@pytest.mark.parametrize("change", CHANGES)
def test_who_is_changed_and_how_follows_from_the_id(change):
    ids = np.arange(400) * 7
    pixels = torch.rand(400, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    how, out = drawn(change, ids, 3), changed(pixels, ids, change, 3)
    kept = (out == pixels).flatten(1).all(dim=1)
    assert torch.equal(kept, how == 0)
    some = np.array([311, 5, 17, 200])
    assert torch.equal(changed(pixels[some], ids[some], change, 3), out[some])
    assert out.min() >= 0
    assert out.max() <= 1
    assert not torch.equal(drawn(change, ids, 4), how)
    shares = how.bincount(minlength=classes(change)) / 400
    assert shares.max().item() == pytest.approx(chance(change) / 100, abs=0.1)


def test_edges_are_those_of_sobel():
    x = torch.rand(3, 1, 7, 9, generator=torch.Generator().manual_seed(0)) / 8
    for image, found in zip(x[:, 0].numpy(), edges(x)[:, 0], strict=True):
        down, right = (scipy.ndimage.sobel(image, axis=axis, mode="nearest") for axis in (0, 1))
        np.testing.assert_allclose(found, np.hypot(down, right).clip(0, 1), rtol=1e-5, atol=1e-6)
    ramp = torch.arange(6.0).view(1, 1, 6, 1).expand(1, 3, 6, 6) / 100
    assert edges(ramp)[0, :, 1:-1].numpy() == pytest.approx(0.08 * sum(LUMA), rel=1e-5)


def test_results_do_not_depend_on_the_batch(lab, tuned, conv_net, monkeypatch):
    probe = TransformProbe(lab.put(tuned(Topped()), conv_net), Topped().whole, Topped(part="test"), "noise")
    whole = lab.run(probe)[0]
    monkeypatch.setattr("analysis.representation.transform_probe._BATCH", 7)
    assert lab.run(probe)[0] == whole


def test_a_change_that_the_images_do_not_have_is_refused(blobs, tuned):
    @dataclass(frozen=True)
    class Grey(Blobs):
        shape = (1, 6, 5)

    @dataclass(frozen=True)
    class Deep(Blobs):
        shape = (5, 6, 6)

    stage = tuned(blobs())
    for data, change, rule in (
        (Grey(), "color", "images with colour"),
        (Grey(), "rotation", "square images, and these have 6 x 5"),
        (Deep(), "sobel", "1 or 3 channels, not 5"),
        (Topped(), "blur", "must be"),
    ):
        with pytest.raises(UserError, match=rf"TransformProbe\.change = '{change}'.*{rule}"):
            TransformProbe(stage, data, replace(data, part="test"), change)
    with pytest.raises(UserError, match=r"TransformProbe\.l2"):
        TransformProbe(stage, Topped(), Topped(part="test"), l2=())
    with pytest.raises(UserError, match=r"TransformProbe\.data = .*fewer images \(4\) than 4 classes and 15 l2 need \(5\)"):
        TransformProbe(stage, Topped(), Topped(part="test")).check(lambda data: 4)
