"""Parts of every kind train together: pretraining on made data, under views of operations, and a fine-tuning of what it left.

Two epochs each; the loss is finite and weights move, and a training that was cut off ends with the same weights.
"""

import math

import pytest
import torch

from contrast import (
    SGD,
    BatchNormHead,
    BitsBeside,
    ConvN,
    CropViews,
    Digits,
    DigitsOnImages,
    Finetune,
    MultiDigits,
    NTXent,
    Pretrain,
    RandomBits,
    ResNet18,
    ResNet50,
    SmallResNet,
    SupConHead,
    TwoSizes,
)
from contrast.augmentations import recipes
from tests.bench import Bench, assert_same

FEW = Digits(per_class=4)
COVERED = DigitsOnImages(pool=8, of=FEW, digits=FEW, side=16)
TOGETHER = {
    "bits": (RandomBits(bits=3, of=FEW), ConvN(), BitsBeside(CropViews(), 3), BatchNormHead(2, 16, last=False)),
    "canvas": (MultiDigits(digits=2, of=FEW, side=16), SmallResNet(4), CropViews(), BatchNormHead(3, 16)),
    "sizes": (TwoSizes(first=8, second=8, of=FEW, side=16), ResNet18(base_width=4), recipes.simaugment(warp=0.5), SupConHead()),
    "covered": (COVERED, ResNet50("imagenet", 4), recipes.stacked_randaugment(), SupConHead(2, 16)),
}


@pytest.mark.parametrize("parts", TOGETHER.values(), ids=TOGETHER.keys())
def test_parts_train_together_and_their_training_goes_on_to_the_last_bit(tmp_path, parts):
    data, encoder, views, head = parts
    bench = Bench(tmp_path)
    net = Pretrain(
        data=data, encoder=encoder, views=views, loss=NTXent(0.5), head=head, batch_size=20, epochs=2, seed=0, optimizer=SGD(lr=0.05)
    )
    whole = bench.run(net)
    assert math.isfinite(whole.results["loss"])
    assert_same(whole, bench.run(net, stops=(1,)))
    tuned = bench.run(Finetune(net, data=data, seed=0, epochs=2))
    assert 0 <= tuned.results["accuracy"] <= 100
    assert bench.net(net).features(torch.rand(2, *data.shape)).shape == (2, encoder.width)
