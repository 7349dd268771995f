"""Modules of PyTorch that hide several layers, as modules that show them, so that each layer can be compressed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from .._core.errors import GraphError
from .attention import SelfAttention
from .recurrent import RecurrentLayers


class AttentionLayers(nn.Module):
    """`nn.MultiheadAttention` over one sequence: `qkv`, attention, `out`."""

    def __init__(self, source: nn.MultiheadAttention) -> None:
        super().__init__()
        if not source.batch_first or source.in_proj_weight is None or source.bias_k is not None or source.add_zero_attn:
            raise GraphError(
                "MultiheadAttention is supported with batch_first=True, one width for queries, keys and values, and "
                "without add_bias_kv and add_zero_attn"
            )
        width, heads = source.embed_dim, source.num_heads
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.core = SelfAttention(heads, float((width // heads) ** -0.5))
        self.qkv.weight, self.qkv.bias = source.in_proj_weight, source.in_proj_bias
        self.out.weight, self.out.bias = source.out_proj.weight, source.out_proj.bias

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, key_padding_mask: object = None, need_weights: bool = True,
        attn_mask: object = None, average_attn_weights: bool = True, is_causal: bool = False,
    ) -> tuple[Tensor, None]:  # fmt: skip
        if key is not query or value is not query:
            raise GraphError("only self-attention is supported: query, key and value must be one tensor")
        if key_padding_mask is not None or attn_mask is not None or is_causal:
            raise GraphError("attention with a mask is not supported; leave it out")
        parts = self.qkv(query).chunk(3, dim=2)
        return self.out(self.core(parts[0], parts[1], parts[2])), None


class EncoderLayer(nn.Module):
    """`nn.TransformerEncoderLayer`, its attention already replaced."""

    def __init__(self, source: nn.TransformerEncoderLayer) -> None:
        super().__init__()
        self.self_attn, self.norm1, self.norm2 = source.self_attn, source.norm1, source.norm2
        self.linear1, self.linear2 = source.linear1, source.linear2
        self.activation, self.norm_first = source.activation, source.norm_first

    def forward(
        self, src: Tensor, src_mask: object = None, src_key_padding_mask: object = None, is_causal: bool = False
    ) -> Tensor:
        if src_mask is not None or src_key_padding_mask is not None or is_causal:
            raise GraphError("attention with a mask is not supported; leave it out")
        if self.norm_first:
            src = src + self._attend(self.norm1(src))
            return src + self._feed(self.norm2(src))
        src = self.norm1(src + self._attend(src))
        y: Tensor = self.norm2(src + self._feed(src))
        return y

    def _attend(self, x: Tensor) -> Tensor:
        y: Tensor = self.self_attn(x, x, x)[0]
        return y

    def _feed(self, x: Tensor) -> Tensor:
        y: Tensor = self.linear2(self.activation(self.linear1(x)))
        return y


class Encoder(nn.Module):
    """`nn.TransformerEncoder`, its layers already replaced."""

    def __init__(self, source: nn.TransformerEncoder) -> None:
        super().__init__()
        self.layers, self.norm = source.layers, source.norm

    def forward(
        self, src: Tensor, mask: object = None, src_key_padding_mask: object = None, is_causal: bool | None = None
    ) -> Tensor:
        if mask is not None or src_key_padding_mask is not None or is_causal:
            raise GraphError("attention with a mask is not supported; leave it out")
        for layer in self.layers:
            src = layer(src)
        return src if self.norm is None else self.norm(src)


COMPOSITES: dict[type[nn.Module], Callable[[Any], nn.Module]] = {
    nn.MultiheadAttention: AttentionLayers,
    nn.TransformerEncoderLayer: EncoderLayer,
    nn.TransformerEncoder: Encoder,
    nn.LSTM: RecurrentLayers,
    nn.GRU: RecurrentLayers,
}


def open_composites(model: nn.Module) -> nn.Module:
    """Replace every such module inside `model`, which is changed; returns it, or what stands for it.

    Raises: GraphError naming the module if one has settings that are not supported.
    """
    for path, module in reversed(list(model.named_modules())):
        make = COMPOSITES.get(type(module))
        if make is None:
            continue
        try:
            opened = make(module).train(module.training)
        except GraphError as error:
            raise GraphError(f"{path or type(module).__name__}: {error}") from None
        if not path:
            return opened
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, opened)
    return model
