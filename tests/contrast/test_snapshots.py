"""Snapshots are the encoder as it was after their epochs, wherever the training was interrupted, and change nothing of it."""

from dataclasses import replace

import pytest
import torch

from contrast import SGD, VAE, Adam, CropViews, Digits, MLPHead, MoCo, NTXent, Pretrain, SimCLRViews, SmallResNet, UserError
from contrast.pretrain import initial_net
from contrast.saved import row_file
from contrast.snapshots import FILE, read_snapshots, snapshot_epochs
from tests.bench import Bench, assert_same

COMMON = {"data": Digits(per_class=9), "encoder": SmallResNet(2), "batch_size": 40, "epochs": 4, "seed": 0, "snapshots": 2}
SIMCLR = Pretrain(**COMMON, views=CropViews(), loss=NTXent(0.1), head=MLPHead(2, out=8), optimizer=SGD(0.05))
STAGES = {
    "SimCLR": SIMCLR,
    "MoCo": MoCo(**COMMON, views=SimCLRViews(), head=MLPHead(2, out=8), optimizer=SGD(0.05), queue=80, norm_groups=2),
    "VAE": VAE(**COMMON, optimizer=Adam(1e-3)),
}


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_snapshots_are_the_same_bytes_after_any_kill_and_leave_the_training_as_it_is(stage, bench):
    whole, plain = bench.run(stage), bench.run(replace(stage, snapshots=None))
    assert_same(whole, plain)
    assert not (plain.folder / FILE).exists()
    again = bench.run(stage, [1] * stage.epochs)
    assert_same(again, whole)
    assert (again.folder / FILE).read_bytes() == (whole.folder / FILE).read_bytes()
    found = dict(read_snapshots(whole))
    assert list(found) == [0, 2, 4]
    first = initial_net(stage.data, stage.encoder, None, stage.seed).encoder.state_dict()
    last = {name.removeprefix("encoder."): weight for name, weight in whole.weights().items() if name.startswith("encoder.")}
    for weights, wanted in ((found[0], first), (found[4], last)):
        assert weights.keys() == wanted.keys()
        assert all(torch.equal(weight, wanted[name]) for name, weight in weights.items())


@pytest.mark.parametrize("spoil", ["cut", "changed", "gone"])
def test_a_snapshot_that_is_not_as_it_was_written_is_no_state_to_go_on_from(spoil, bench):
    folder = bench.folder / "spoiled"
    bench.begin(SIMCLR, 3, folder)
    file = row_file(folder, 2)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.unlink()
    if spoil != "gone":
        file.write_bytes(content[: len(content) // 2] if spoil == "cut" else content)
    began = []
    running = SIMCLR.run(bench.workspace(folder))
    for _ in running:
        began.append(len((folder / "curve.jsonl").read_text().splitlines()))
    assert began == [1, 2, 3, 4]


def test_epochs_of_snapshots_are_even_and_have_both_ends():
    assert snapshot_epochs(4, 10) == (0, 2, 5, 7, 10)
    for epochs in range(1, 12):
        for count in range(1, epochs + 1):
            found = snapshot_epochs(count, epochs)
            assert (found[0], found[-1], len(set(found))) == (0, epochs, count + 1)


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_more_snapshots_than_epochs_are_refused(stage):
    for count in (0, 5):
        with pytest.raises(UserError, match=rf"snapshots = {count}: must be from 1 to the number of epochs \(4\)"):
            replace(stage, snapshots=count)
