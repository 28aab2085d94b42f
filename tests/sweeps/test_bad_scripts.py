"""A mistake in a user's own functions and values ends with one message, exit code 2, before any training, with nothing lost.

The sweeps here are declared wrongly, or call functions that fail; what a message must say stands beside each.
"""

from dataclasses import dataclass, field

from analysis import KNN
from contrast import SGD, CropViews, Digits, MLPHead, NTXent, Pretrain, SmallResNet
from sweeps import Sweep
from tests.driver import command, files

DIGITS = Digits(per_class=20)


def net(phase, loss=NTXent(0.1), seed=0):
    return Pretrain(
        data=DIGITS.fit(phase), encoder=SmallResNet(2), views=CropViews(), loss=loss, head=MLPHead(1, out=8),
        batch_size=64, epochs=1, seed=seed, optimizer=SGD(lr=0.1),
    )  # fmt: skip


def knn(phase, **changed):
    return KNN(net(phase, **changed), bank=DIGITS.fit(phase), on=DIGITS.held_out(phase))


def told(space, tmp_path, *argv, **declared) -> str:
    """What `run` says about the sweep of this space, after checking that it ended well and left nothing."""
    before = files(tmp_path)
    known = {"asked": Sweep("asked", space, **({"maximize": "knn"} | declared))}
    ended = command("run", "asked", "--engine", "inline", "--root", tmp_path, *argv, known=known)
    assert ended.code == 2
    assert "Traceback" not in ended.err + ended.out
    assert files(tmp_path) == before
    return " ".join(ended.err.split())


@dataclass(frozen=True)
class Silent(NTXent):
    note: float = field(default=1.0, compare=False)


def test_a_value_without_identity_is_refused_before_anything_is_touched(tmp_path):
    def space(trial, seed, phase):
        return {"knn": knn(phase, loss=Silent(0.1, note=trial.suggest_float("note", 1.0, 2.0)))}

    assert "Silent.note = 1.0: is declared with compare=False" in told(space, tmp_path)


def test_a_key_below_another_ones_is_refused_since_results_would_overwrite_each_other(tmp_path):
    def space(trial, seed, phase):
        return {"knn": knn(phase, seed=trial.suggest_int("seed", 0, 1)), "knn/b": knn(phase), "knnb": knn(phase)}

    assert "key 'knn/b' lies below key 'knn', whose further results are named there too. Rename" in told(space, tmp_path)
