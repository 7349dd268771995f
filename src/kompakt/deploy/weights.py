"""Weights of a layer as the file holds them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch.nn.utils import parametrize

from ..artifact import FloatWeight, Weight
from ..quant import WeightSlot


@dataclass(frozen=True, eq=False)
class StoredWeight:
    """Stored levels and what turns a product-sum of them into real values.

    Attributes:
        scale: float64 (O,): real weight = level * scale.
        bias: float64 (O,).
        reach: the largest sum of |level| over an output channel; 0 for float weights.
    """

    weight: Weight | FloatWeight
    scale: np.ndarray
    bias: np.ndarray
    reach: int


def stored_weight(layer: Any) -> StoredWeight:
    """What the file holds of a layer: codes where its weight has a quantizer, else float32 values."""
    parametrizations: Any = layer.parametrizations if parametrize.is_parametrized(layer, "weight") else None
    if parametrizations is None or not isinstance(parametrizations.weight[0], WeightSlot):
        values = layer.weight.detach().float().cpu().numpy()
        return StoredWeight(FloatWeight(values), np.ones(len(values)), _bias(layer, len(values)), 0)
    # The original, not `layer.weight`: in training mode an access of the latter would move the quantizer.
    codes, encoding, scale = parametrizations.weight[0].quantizer.encode(parametrizations.weight.original)
    weight, outputs = Weight(codes, encoding), len(codes)
    reach = np.abs(weight.levels().astype(np.int64)).reshape(outputs, -1).sum(1).max()
    scales = np.broadcast_to(scale.astype(np.float64), (outputs,))
    return StoredWeight(weight, scales, _bias(layer, outputs), int(reach))


def pointwise(weight: Weight | FloatWeight) -> Weight | FloatWeight:
    """A linear layer's weight (O, I) as that of a 1x1 convolution, which runs over tokens."""
    if isinstance(weight, FloatWeight):
        return FloatWeight(weight.values[:, :, None, None])
    return Weight(weight.codes[:, :, None, None], weight.encoding)


def _bias(layer: Any, outputs: int) -> np.ndarray:
    bias = getattr(layer, "bias", None)  # an embedding has none
    return np.zeros(outputs) if bias is None else np.asarray(bias.detach().double().cpu().numpy())
