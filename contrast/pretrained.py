"""An encoder from outside: the weights of a published checkpoint, in an encoder of this project."""

import re
from collections.abc import Generator
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

from torch import Tensor, nn

from contrast import random
from contrast.component import UserError, require, walk
from contrast.data.dataset import Dataset
from contrast.encoders.encoder import Encoder
from contrast.model import Model, Net
from contrast.pretrain import trained_net
from contrast.stage import Metrics, Stage, Workspace, upstream
from contrast.weights.address import address_fault, shown, weights_content
from contrast.weights.checkpoint import encoder_weights, matched, read_checkpoint
from contrast.weights.key_map import KeyMap


@dataclass(frozen=True, kw_only=True)
class Pretrained(Stage):
    """The encoder that was saved at `address`, for all that a `Pretrain` is for (PROTOCOL 7.1); no head, no training.

    `address`: a file below the data root ("weights/moco_v2_800ep.pth.tar"), `file:///folder/name.pth`, or http(s), which is
    downloaded once a node; it holds no password, and behind ? nothing but download=1 or the like, as it is written down and
    shown. `sha256` is the file's, 64 hexadecimal digits: `sha256sum FILE` tells it. `keys` knows the file's
    layout and the normalisation that the network was trained in. Measures of this stage feed it so; a `Finetune` does with
    `normalization="encoder"`, else by its own data's. Safetensors and files of `torch.save` are read; nothing in a file is run. Every
    tensor of the encoder must be in the file in name and shape, and no other of the encoder's part. `matched`: None, or how many
    that must be. What is wrong with a file is told before anything is trained.
    Results: `matched`, the tensors without the counters of batch normalisation (265 of a ResNet-50), and `parameters`.
    """

    address: str
    sha256: str
    encoder: Encoder
    keys: KeyMap
    matched: int | None = None

    def __post_init__(self) -> None:
        if (fault := address_fault(self.address)) is not None:
            rule, cure = fault
            raise UserError(f"Pretrained.address = {shown(self.address)!r}: {rule}. {cure}")
        digits = re.fullmatch(r"[0-9a-f]{64}", self.sha256) is not None
        require(digits, self, "sha256", "must be 64 hexadecimal digits in small letters", "Ask sha256sum for those of the file.")
        require(self.matched is None or self.matched >= 1, self, "matched", "must be at least 1", "Leave it out, or count the tensors.")

    def check_files(self, root: Path | None) -> None:
        """The file must be there, be the one that was meant, and hold this encoder."""
        try:
            self._weights(root, self._net().encoder)
        except OSError as error:
            cure = "Check the address and the network, or put the file below the data root."
            raise UserError(f"Pretrained.address = {self.address!r}: cannot be downloaded ({error}). {cure}") from error

    def run(self, workspace: Workspace) -> Generator[Metrics, None, Metrics]:
        """Keep the weights; no epochs."""
        net = self._net()
        weights = self._weights(workspace.data, net.encoder)
        net.encoder.load_state_dict(weights)
        workspace.keep_weights(net.state_dict())
        return {"matched": float(matched(weights)), "parameters": float(sum(p.numel() for p in net.parameters()))}
        yield {}

    def model(self, workspace: Workspace) -> Model:
        """The encoder in the normalisation of `keys`; its top is the identity."""
        artefact = workspace.of(self)
        return Model(self, artefact, partial(trained_net, self._net, artefact, workspace.device))

    def _net(self) -> Net:
        body = self.encoder.build(len(self.keys.mean), random.generator(0, "encoder"))
        return Net(self.keys.mean, self.keys.std, body, nn.Identity())

    def _weights(self, root: Path | None, encoder: nn.Module) -> dict[str, Tensor]:
        checkpoint = read_checkpoint(weights_content(self.address, self.sha256, root), self.address)
        try:
            weights = encoder_weights(checkpoint, self.keys, encoder)
        except UserError as error:
            raise UserError(f"Pretrained.keys = {self.keys!r}: of {self.address} for {self.encoder!r}, {error}") from error
        count = matched(weights)
        rule = f"must be how many tensors of the encoder are in the file, {count}"
        require(self.matched in (None, count), self, "matched", rule, f"State {count}, or leave it out.")
        return weights


def channels_of(stage: Stage) -> int | None:
    """How many channels the images had that the encoder of `stage` was trained on; None where neither data nor key map say."""
    for part in walk(stage):
        if isinstance(part, KeyMap):
            return len(part.mean)
        if isinstance(part, Dataset):
            return part.shape[0]
    return None


def require_channels(stage: Stage) -> None:
    """Raise `UserError` unless the images in every field of `stage` have as many channels as its upstream's encoders were trained on.

    Normalisation would stretch grey images over three channels without a word.
    """
    known = [count for count in map(channels_of, upstream(stage)) if count is not None]
    for field in fields(stage):
        data = getattr(stage, field.name)
        if isinstance(data, Dataset):
            given = data.shape[0]
            rule = f"has images of {given} channels, and the encoder was trained on {next((n for n in known if n != given), given)}"
            require(set(known) <= {given}, stage, field.name, rule, "Use another encoder, or bring the images to its channels.")
