"""A direction and its file: safetensors with the provenance in the header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from offtarget.direction.header import FORMAT
from offtarget.errors import InputError
from offtarget.models.local import LocalModel
from offtarget.models.residual import decoder_blocks
from offtarget.records import DirectionInfo
from offtarget.records.from_json import from_json


@dataclass(frozen=True, eq=False)
class Direction:
    """One vector (or a subspace) per layer; see DirectionInfo for sign and scale."""

    info: DirectionInfo
    vectors: Mapping[int, Tensor]
    """Layer -> (rank, width) float32 on CPU; row 0 is the mean difference, the rows after it are orthonormal and
    orthogonal to it."""

    def vector(self, layer: int | None = None) -> Tensor:
        """The mean difference (width,) at a layer, the chosen one by default. InputError when there is none."""
        number = self.info.layer if layer is None else layer
        if number not in self.vectors:
            raise InputError(f"The direction has no layer {number}; it has {sorted(self.vectors)}.")
        return self.vectors[number][0]

    def save(self, path: Path) -> None:
        """Write a safetensors file. InputError when it exists."""
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        if path.exists():
            raise InputError(f"{path} already exists. Choose another file, or remove it first.")
        tensors = {f"layer.{layer}": v.detach().float().cpu().contiguous() for layer, v in self.vectors.items()}
        # one entry only: safetensors writes several in random order, and equal files should be equal byte for byte
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file(tensors, str(path), {FORMAT: json.dumps(asdict(self.info))})
        except (OSError, SafetensorError) as error:
            raise InputError(f"{path} cannot be written: {error}. Choose another file.") from error

    @classmethod
    def load(cls, path: Path) -> Direction:
        """Read a file written by `save`. InputError, naming the file, when it is none."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(path), framework="pt") as file:
                header = file.metadata() or {}
                vectors = {int(k.removeprefix("layer.")): file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError, ValueError) as error:
            raise InputError(f"{path} is not a direction file: {error}") from error
        if FORMAT not in header:
            raise InputError(f"{path} is not a direction file: its header lacks '{FORMAT}'. Make one: direction find.")
        try:
            info = from_json(DirectionInfo, json.loads(header[FORMAT]))
        except (KeyError, ValueError, TypeError) as error:
            raise InputError(f"{path} has a damaged header: {error}") from error
        if info.rank < 1 or info.layer not in vectors or not set(vectors) <= set(range(info.layers)):
            raise InputError(f"{path} is damaged: it has layers {sorted(vectors)}, and its header names {info.layer}.")
        for layer, vector in vectors.items():
            if vector.shape != (info.rank, info.width) or not bool(torch.isfinite(vector).all()):
                raise InputError(
                    f"{path}: layer {layer} has shape {tuple(vector.shape)} or numbers that are not finite."
                )
        return cls(info, vectors)


def check_fits(direction: Direction, model: LocalModel) -> None:
    """InputError when a direction is for another architecture, width or depth than the model's."""
    config = model.weights.model.config.get_text_config()
    blocks = len(decoder_blocks(model.weights.model, model.blocks))
    info = direction.info
    have = (config.model_type, int(config.hidden_size), blocks)
    want = (info.architecture, info.width, info.layers)
    if have != want:
        raise InputError(
            f"The direction was found in {info.model} ({want[0]}, width {want[1]}, {want[2]} layers) and does not fit "
            f"{model.name} ({have[0]}, width {have[1]}, {have[2]} layers). Find one in this model."
        )
