// Functions of one float; docs/numerics.md defines each. No code, so that every kernel level may include it.
#pragma once

namespace kompakt {

enum class Unary { Gelu, Hardswish, Sigmoid, Silu, Tanh };

}  // namespace kompakt
