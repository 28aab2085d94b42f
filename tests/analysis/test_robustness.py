"""Attacks as measures: against the tensor functions they wrap, and against the accuracy without attack."""

import numpy as np
import pytest
import torch
from torch import nn

from analysis import FGSM, PGD, Accuracy, AdversarialExamples, Landscape
from analysis.measure import Drawn
from analysis.subset import stratified
from contrast.attacks import fgsm_curve, robust, start_noise
from contrast.component import UserError

LEVEL = 1 / 255


def test_fgsm_measure_attacks_in_pixels_and_reports_the_radius_at_8(lab, blobs, tuned, conv_net):
    data = blobs().held_out("confirm")
    stage = lab.put(tuned(data), conv_net)
    x, y = lab.workspace.pixels(data)
    eps = torch.tensor([level * LEVEL for level in range(16)])
    right, loss = fgsm_curve(conv_net.requires_grad_(False), x, y, eps)
    results, arrays = lab.run(FGSM(stage, on=data, samples=None))
    assert next(iter(results)) == "accuracy"
    assert np.allclose(arrays["alone"], 100 * right[1:].double().mean(1))
    assert np.allclose(arrays["accuracy"], [100 * right[: e + 2].all(0).double().mean() for e in range(16)])
    assert np.allclose(arrays["loss"], loss, rtol=1e-4)
    assert np.allclose(arrays["eps"] * 255, range(16))
    assert results["accuracy"] == results["eps_8"] == arrays["accuracy"][8]
    assert results["eps_0"] == lab.run(Accuracy(stage, on=data))[0]["accuracy"]
    weights = np.full(16, 1 / 15)
    weights[[0, -1]] /= 2
    assert results["area"] == pytest.approx(weights @ arrays["accuracy"])


def test_the_older_reading_counts_eps_after_normalisation_and_does_not_clip(lab, blobs, tuned, conv_net):
    data = blobs().held_out("confirm")
    stage = lab.put(tuned(data), conv_net)
    x, y = lab.workspace.pixels(data)
    inside = nn.Sequential(conv_net.encoder, conv_net.top).requires_grad_(False)
    right, loss = fgsm_curve(inside, (x - conv_net.mean) / conv_net.std, y, torch.tensor([0.0, 8 * LEVEL, 60 * LEVEL]), box=None)
    measure = FGSM(stage, on=data, eps=(0.0, 8 / 255, 60 / 255), space="normalized", clamp=False, samples=None)
    _, arrays = lab.run(measure)
    assert np.allclose(arrays["alone"], 100 * right[1:].double().mean(1))
    assert np.allclose(arrays["loss"], loss, rtol=1e-4)
    published = FGSM.in_normalized_space(stage, data)
    assert (published.space, published.clamp, published.samples, published.eps[-1]) == ("normalized", False, None, 15 / 255)
    results, kept = lab.run(published)
    assert kept["loss"][8] == pytest.approx(arrays["loss"][1])
    drawn = [Drawn(name, "", 0, results, kept, published) for name in ("a", "b")]
    assert [axes.get_xlabel() for axes in FGSM.figure(drawn).axes] == ["ε (1/255, normalised)"] * 2
    _, pixel = lab.run(FGSM(stage, on=data, eps=(0.0, 8 / 255, 60 / 255), clamp=False, samples=None))
    assert pixel["loss"][2] > arrays["loss"][2]  # the same number is a larger step in pixels


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_pgd_measure_starts_at_the_clean_accuracy_and_falls(lab, blobs, tuned, conv_net, norm):
    data = blobs().held_out("confirm")
    stage = lab.put(tuned(data), conv_net.requires_grad_(False))
    eps = (0.0, 4 / 255, 16 / 255, 64 / 255) if norm == "linf" else (0.0, 0.5, 1.5)
    results, arrays = lab.run(PGD(stage, on=data, norm=norm, eps=eps, steps=4, samples=None))
    assert next(iter(results)) == "accuracy"
    assert results["clean"] == lab.run(Accuracy(stage, on=data))[0]["accuracy"]
    assert arrays["accuracy"][0] == results["clean"]
    assert results["accuracy"] == arrays["accuracy"][-1] == results["eps_64" if norm == "linf" else "eps_1.5"]
    assert (np.diff(arrays["accuracy"]) <= 0).all()
    assert results["accuracy"] < results["clean"]
    x, y = lab.workspace.pixels(data)
    start = start_noise(lab.workspace.images(data).ids, data.shape, norm, 0)
    standing = robust(conv_net, x, y, torch.tensor(eps), lambda rows, _: start[rows], norm, steps=4)
    assert np.allclose(arrays["accuracy"], 100 * standing.double().mean(1), atol=100 / 80 + 1e-9)  # folding may tip one sample


def test_restarts_and_the_margin_find_no_less_and_the_usual_values_are_those_of_none(lab, blobs, tuned, conv_net):
    data = blobs().held_out("confirm")
    stage = lab.put(tuned(data), conv_net.requires_grad_(False))
    plain, strong = PGD(stage, on=data, steps=2), PGD(stage, on=data, steps=2, restarts=3)
    assert (lab.run(strong)[1]["accuracy"] <= lab.run(plain)[1]["accuracy"]).all()
    assert lab.run(PGD(stage, on=data, steps=2, loss="margin"))[0]["clean"] == lab.run(plain)[0]["clean"]
    assert PGD(stage, on=data, steps=2, restarts=1, loss="cross_entropy") == plain


class Ending(nn.Module):
    """What a network's outputs go through."""

    def __init__(self, top, end):
        super().__init__()
        self.top, self.end = top, end

    def forward(self, h):
        return self.end(self.top(h))


@pytest.mark.parametrize("end", [lambda z: z.softmax(1), lambda z: z / (z[:, :1] - z[:, :1])])
def test_probabilities_and_outputs_that_are_not_finite_are_refused(lab, blobs, tuned, conv_net, end):
    data = blobs().held_out("confirm")
    conv_net.top = Ending(conv_net.top, end)
    stage = lab.put(tuned(data), conv_net.requires_grad_(False))
    for measure in (PGD(stage, on=data), FGSM(stage, on=data)):
        with pytest.raises(UserError, match=r"\.of = .*(probabilities|not finite)"):
            lab.run(measure)


def test_subsets_of_the_measures_are_stratified(lab, blobs, tuned, conv_net):
    data = blobs().held_out("confirm")
    stage = lab.put(tuned(data), conv_net.requires_grad_(False))
    small = blobs(per_class=3).held_out("confirm")
    for attack in (FGSM(stage, on=data, samples=12), PGD(stage, on=data, samples=12, steps=2)):
        same = FGSM(stage, on=small, samples=None) if isinstance(attack, FGSM) else PGD(stage, on=small, samples=None, steps=2)
        assert lab.run(attack)[0] == pytest.approx(lab.run(same)[0])


class OnlyRows:
    """Pixels of which only named rows can be had, at most 12."""

    def __init__(self, pixels):
        self.pixels = pixels

    def __getitem__(self, rows):
        assert len(rows) <= 12
        return self.pixels[rows]


def test_of_a_large_data_set_only_the_chosen_samples_are_read(lab, blobs, tuned, conv_net, monkeypatch):
    data = blobs().held_out("confirm")
    stage, images = lab.put(tuned(data), conv_net.requires_grad_(False)), lab.workspace.images(data)
    attacks = [FGSM(stage, on=data, samples=12), PGD(stage, on=data, samples=12, steps=2), Landscape(stage, on=data, samples=12, points=3)]
    wanted = [lab.run(attack)[0] for attack in attacks]
    monkeypatch.setattr(lab.workspace, "images", lambda _: images._replace(pixels=OnlyRows(images.pixels)))
    for attack, results in zip(attacks, wanted, strict=True):
        assert lab.run(attack)[0] == pytest.approx(results, nan_ok=True)


def test_kept_examples_are_those_of_the_attack_and_break_the_network(lab, blobs, tuned, conv_net):
    data = blobs().held_out("confirm")
    stage = lab.put(tuned(data), conv_net.requires_grad_(False))
    results, arrays = lab.run(AdversarialExamples(stage, on=data, eps=40 / 255, samples=12))
    x, y = (part[torch.from_numpy(stratified(lab.workspace.images(data).labels, 12))] for part in lab.workspace.pixels(data))
    assert np.array_equal(arrays["pixels"], (255 * x).round().byte().numpy())
    assert np.abs(arrays["change"]).max() <= 40 / 255 + 1e-6
    wrong = conv_net(x).argmax(1) != y
    assert not arrays["change"][wrong.numpy()].any()
    changed = conv_net(x + torch.from_numpy(arrays["change"])).argmax(1) != y
    assert torch.equal(changed, torch.from_numpy(arrays["broken"]))
    assert results["fooled"] == pytest.approx(100 * arrays["broken"].mean())
    assert arrays["broken"].sum() > wrong.sum()
    for field, value in (("samples", 0), ("samples", 65), ("eps", 0.0), ("steps", 0)):
        with pytest.raises(UserError, match=rf"\.{field} = "):
            AdversarialExamples(stage, on=data, **{field: value})


def test_pgd_defaults_are_the_declared_ones(blobs, tuned):
    attack = PGD(tuned(blobs()), on=blobs())
    assert attack.eps == (0, 1 / 255, 2 / 255, 4 / 255, 8 / 255)
    assert (attack.norm, attack.steps, attack.step_size, attack.samples) == ("linf", 10, 2.5, 512)
    assert FGSM(tuned(blobs()), on=blobs()).at == 8 / 255


def test_bad_fields_are_refused(blobs, tuned, spoiled):
    data, stage = blobs(), tuned(blobs())
    for make, field in (
        (lambda: FGSM(stage, data, eps=()), "eps"),
        (lambda: FGSM(stage, data, eps=(0.0, 8 / 255, 4 / 255)), "eps"),
        (lambda: FGSM(stage, data, eps=(0.0, 8 / 255, 8 / 255)), "eps"),
        (lambda: FGSM(stage, data, eps=(-1 / 255, 8 / 255)), "eps"),
        (lambda: FGSM(stage, data, eps=(0.0, 4 / 255)), "at"),
        (lambda: spoiled(FGSM(stage, data), "space", "lab"), "space"),
        (lambda: FGSM(stage, data, samples=0), "samples"),
        (lambda: spoiled(PGD(stage, data), "norm", "l1"), "norm"),
        (lambda: PGD(stage, data, steps=0), "steps"),
        (lambda: PGD(stage, data, step_size=0.0), "step_size"),
        (lambda: PGD(stage, data, eps=(float("nan"),)), "eps"),
        (lambda: PGD(stage, data, restarts=0), "restarts"),
        (lambda: spoiled(PGD(stage, data), "loss", "dlr"), "loss"),
        (lambda: PGD((stage,), data), "of"),
    ):
        with pytest.raises(UserError, match=rf"\.{field} = "):
            make()
