"""Random bits against what an image shows: how many of them does a contrastive loss take for the image? (PROTOCOL 8.4)

Encoders see every image beside bits that tell it from others and mean nothing; a linear probe then asks for the class. The space draws
the temperature.
"""

from dataclasses import dataclass

from optuna.trial import BaseTrial

from analysis import FeatureSuppression, LinearProbe
from contrast import MNIST, SGD, ConvN, CropViews, Dataset, MLPHead, NTXent, Pretrain, RandomBits, Stage, Untrained
from contrast.augmentations import BitsBeside
from contrast.data.dataset import Phase
from contrast.encoders.encoder import Encoder
from search_spaces.knobs import temperature


@dataclass(frozen=True)
class RandomBitsBeside:
    """The scale: `bits` increase; 0 is without any."""

    bits: tuple[int, ...] = (0, 5, 10, 15, 20)
    of: Dataset = MNIST()
    encoder: Encoder = ConvN()
    epochs: int = 10
    batch_size: int = 1000
    lr: float = 0.1

    def __call__(self, trial: BaseTrial, seed: int, phase: Phase) -> dict[str, Stage]:
        """Accuracy of the probe at every number of bits, `accuracy/5`, and their suppression index."""
        tau = temperature(trial)
        probes = {bits: self._probe(self._trained(bits, tau, seed, phase), bits, phase) for bits in self.bits}
        without = self._probe(self._trained(0, tau, seed, phase), 0, phase)
        untrained = self._probe(Untrained(data=self._data(0).fit(phase), encoder=self.encoder, seed=seed), 0, phase)
        index = FeatureSuppression(tuple(probes.values()), without=without, untrained=untrained, levels=self.bits)
        return {"suppression": index, **{f"accuracy/{bits}": probe for bits, probe in probes.items()}}

    def _data(self, bits: int) -> RandomBits:
        return RandomBits(bits=bits, of=self.of)

    def _probe(self, net: Stage, bits: int, phase: Phase) -> LinearProbe:
        return LinearProbe(net, data=self._data(bits).fit(phase), on=self._data(bits).held_out(phase))

    def _trained(self, bits: int, tau: float, seed: int, phase: Phase) -> Pretrain:
        return Pretrain(
            data=self._data(bits).fit(phase),
            encoder=self.encoder,
            views=BitsBeside(CropViews(), bits),
            loss=NTXent(tau),
            head=MLPHead(2, out=64),
            batch_size=self.batch_size,
            epochs=self.epochs,
            seed=seed,
            optimizer=SGD(lr=self.lr),
        )
