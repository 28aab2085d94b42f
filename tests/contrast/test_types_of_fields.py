"""A value has the types its class declares, or it does not exist; a hint that is not understood lets everything pass.

Each row is a mistake that a script can make, with field, value, rule and cure of its message. Classes of a user's are checked
like those of the project, before the rules that they write themselves.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Optional, Protocol

import pytest
from optuna.samplers import TPESampler

from analysis import KNN
from contrast import SGD, Component, CropViews, Digits, MLPHead, NTXent, Pretrain, SmallResNet, UserError
from sweeps import Confirm, Sweep

NET = Pretrain(
    data=Digits(), encoder=SmallResNet(2), views=CropViews(), loss=NTXent(0.1), head=MLPHead(), batch_size=64, epochs=1, seed=0,
    optimizer=SGD(lr=0.1),
)  # fmt: skip


def sweep(**declared):
    return Sweep("asked", lambda trial, seed, phase: {}, **declared)


WRONG = {
    "text for a number": (lambda: NTXent("0.1"), "NTXent.temperature = '0.1': must be a number. Write the number without quotes."),
    "a truth value for a number": (lambda: NTXent(True), "NTXent.temperature = True: must be a number. "),
    "text for an integer": (lambda: replace(NET, epochs="3"), "Pretrain.epochs = '3': must be an integer. Write the number"),
    "a broken number of epochs": (lambda: replace(NET, epochs=1.5), "Pretrain.epochs = 1.5: must be an integer. Give"),
    "a whole number of images as a fraction": (lambda: replace(NET, batch_size=64.0), "batch_size = 64.0: must be an integer. Write 64."),
    "half a seed": (lambda: replace(NET, seed=0.5), "Pretrain.seed = 0.5: must be an integer. "),
    "text for a component": (lambda: replace(NET, encoder="r"), "Pretrain.encoder = 'r': must be an Encoder. Give one of these"),
    "nothing for a component": (lambda: replace(NET, data=None), "Pretrain.data = None: must be a Dataset. "),
    "a class for its value": (lambda: replace(NET, data=Digits), "must be a Dataset. Make one, Digits(...)."),
    "an unknown word": (lambda: replace(NET, precision="fp16"), "Pretrain.precision = 'fp16': must be 'fp32' or 'bf16'. "),
    "a list of classes": (lambda: Digits(classes=[1, 2]), "classes = [1, 2]: must be a tuple of integers or None. Write it as a tuple, (1"),
    "half an image": (lambda: Digits(per_class=1.5), "Digits.per_class = 1.5: must be an integer or None. "),
    "one number for two": (lambda: CropViews(scale=(0.5,)), "CropViews.scale = (0.5,): must be a tuple (a number, a number). "),
    "a component of another kind": (lambda: KNN(NET, on=NET), "KNN.on = Pretrain(", ),
    "text for trials": (lambda: sweep(trials="3"), "Sweep.trials = '3': must be an integer. Write the number without quotes."),
    "a number for a confirmation": (lambda: sweep(confirm=1), "Sweep.confirm = 1: must be a Confirm or None. "),
    "a sampler for what makes one": (lambda: sweep(sampler=TPESampler()), "or a function or None. "),
    "a number for an objective": (lambda: sweep(maximize=3), "Sweep.maximize = 3: must be text or a Bound or a tuple of texts or "),
    "one value for an axis of arms": (lambda: sweep(arms={"m": 3}), "Sweep.arms = {'m': 3}: must be a dict of lists. "),
    "text for an axis of arms": (lambda: sweep(arms={"m": "abc"}), "Sweep.arms = {'m': 'abc'}: must be a dict of lists. "),
    "a single seed": (lambda: sweep(seeds=3), "Sweep.seeds = 3: must be a tuple of integers. "),
    "text for a space": (lambda: Sweep("asked", "space"), "Sweep.space = 'space': must be a function. "),
    "half a candidate": (lambda: Confirm(top=1.5), "Confirm.top = 1.5: must be an integer. "),
}  # fmt: skip


@pytest.mark.parametrize(("make", "says"), WRONG.values(), ids=[name.replace(" ", "-") for name in WRONG])
def test_a_field_of_another_type_is_told_when_the_value_is_made(make, says):
    with pytest.raises(UserError) as raised:
        make()
    assert says in str(raised.value)


class Named(Protocol):
    name: str


@dataclass(frozen=True)
class Kinds(Component):
    """A field of every kind."""

    number: float = 1.0
    maybe: Optional[int] = None  # noqa: UP045 (both ways of writing it)
    word: Literal["a", 1] = "a"
    many: tuple[tuple[float, ...], ...] = ()
    parts: NTXent | tuple[NTXent, ...] = ()
    call: Callable[[int], int] | None = None
    table: Mapping[str, Sequence[Any]] | None = None
    anything: Any = None
    unknown: Named | None = None
    later: "Kinds | None" = None


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("number", (1, 1.5, -0.0), (True, "1", None, 1j, (1.0,))),
        ("maybe", (None, 3), (1.0, False, "3")),
        ("word", ("a", 1), ("b", True, 1.0, ["a"])),
        ("many", ((), ((1, 2.5), ())), ([], (1.0,), ((True,),))),
        ("parts", (NTXent(1), (), (NTXent(1), NTXent(2))), ((1,), None, [NTXent(1)])),
        ("call", (None, len), (3, "len")),
        ("table", (None, {}, {"a": [1], "b": (2, "c"), "d": range(3)}), ([], {1: [1]}, {"a": 1}, {"a": "text"})),
        ("anything", (None, 3, [], object()), ()),
        ("unknown", (None, 3, "text"), ()),
        ("later", (None, Kinds()), (3, Kinds)),
    ],
)
def test_the_types_that_a_class_declares_are_the_ones_it_takes(field, good, bad):
    for value in good:
        assert getattr(Kinds(**{field: value}), field) == value
    for value in bad:
        with pytest.raises(UserError, match=rf"Kinds\.{field} = "):
            Kinds(**{field: value})


@dataclass(frozen=True)
class Ruled(NTXent):
    """Rules of its own, after those of the class it extends."""

    share: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.share > 1:
            raise UserError("share is above 1")


def test_types_are_checked_before_the_rules_of_a_class_and_of_those_it_extends():
    with pytest.raises(UserError, match=r"Ruled\.share = 'all': must be a number"):
        Ruled(0.1, "all")
    with pytest.raises(UserError, match=r"Ruled\.temperature = 'warm': must be a number"):
        Ruled("warm")
    with pytest.raises(UserError, match="temperature = -1"):
        Ruled(-1)
    with pytest.raises(UserError, match="share is above 1"):
        Ruled(0.1, 2)


def test_a_type_that_only_a_type_checker_knows_is_not_checked():
    @dataclass(frozen=True)
    class Local(Component):
        x: "Unheard"

    assert Local(3).x == 3
