// Elementwise operations as plain loops; the compiler vectorises them for the level of the including file.
#pragma once

#define KOMPAKT_RESTRICT __restrict__

// 1.5 * 2^23: adding and subtracting it rounds a float of magnitude below 2^22 to the nearest integer, ties to even,
// in the default rounding mode; only plain additions, so every level gives the same bits.
constexpr float kRound = 12582912.0f;

void quantize(const float* KOMPAKT_RESTRICT x, size_t n, float inv_step, float lo, float hi, uint8_t mask,
              uint8_t* KOMPAKT_RESTRICT code) {
  for (size_t i = 0; i < n; ++i) {
    float v = x[i] * inv_step;
    v = v > lo ? v : lo;  // clamping before rounding is the same, because lo and hi are integers
    v = v < hi ? v : hi;
    v = (v + kRound) - kRound;
    code[i] = static_cast<uint8_t>(static_cast<int32_t>(v)) & mask;
  }
}

template <size_t N>
void encode_n(const float* KOMPAKT_RESTRICT x, size_t n, const float* KOMPAKT_RESTRICT t,
              uint8_t* KOMPAKT_RESTRICT index) {
  for (size_t i = 0; i < n; ++i) {
    int32_t count = 0;
    for (size_t k = 0; k < N; ++k) count += x[i] > t[k];
    index[i] = static_cast<uint8_t>(count);
  }
}

void encode(const float* x, size_t n, const float* t, size_t count, uint8_t* index) {
  switch (count) {
    case 1: return encode_n<1>(x, n, t, index);
    case 3: return encode_n<3>(x, n, t, index);
    case 7: return encode_n<7>(x, n, t, index);
    default: return encode_n<15>(x, n, t, index);
  }
}

template <size_t N>
void threshold_n(const int32_t* KOMPAKT_RESTRICT x, size_t pixels, size_t pitch, size_t lanes,
                 const ThresholdArgs& args, uint8_t* KOMPAKT_RESTRICT index) {
  const int32_t* KOMPAKT_RESTRICT flip = args.flip;
  const int32_t* KOMPAKT_RESTRICT t = args.thresholds;
  for (size_t p = 0; p < pixels; ++p) {
    for (size_t c = 0; c < lanes; ++c) {
      const int32_t v = x[p * pitch + c] ^ flip[c];
      int32_t count = 0;
      for (size_t k = 0; k < N; ++k) count += v >= t[k * args.pitch + c];
      index[p * pitch + c] = static_cast<uint8_t>(count);
    }
  }
}

[[maybe_unused]] void threshold(const int32_t* x, size_t pixels, size_t pitch, size_t lanes, const ThresholdArgs& args,
               uint8_t* index) {
  switch (args.count) {
    case 1: return threshold_n<1>(x, pixels, pitch, lanes, args, index);
    case 3: return threshold_n<3>(x, pixels, pitch, lanes, args, index);
    case 7: return threshold_n<7>(x, pixels, pitch, lanes, args, index);
    default: return threshold_n<15>(x, pixels, pitch, lanes, args, index);
  }
}

void affine_acc(const int32_t* KOMPAKT_RESTRICT x, size_t pixels, size_t pitch, size_t lanes,
                const float* KOMPAKT_RESTRICT m, const float* KOMPAKT_RESTRICT b, float* KOMPAKT_RESTRICT y) {
  for (size_t p = 0; p < pixels; ++p)
    for (size_t c = 0; c < lanes; ++c) y[p * pitch + c] = static_cast<float>(x[p * pitch + c]) * m[c] + b[c];
}

template <Residual R>
inline float residual_at(const RescaleArgs& a, size_t at) {
  if (R == Residual::Real) {
    float value;
    __builtin_memcpy(&value, a.map + at * sizeof value, sizeof value);
    return value;
  }
  if (R == Residual::Affine) return static_cast<float>((a.map[at] ^ a.sign) - a.sign) * a.scale;
  return a.values[a.map[at]];
}

template <Residual R>
void rescale_by(const RescaleArgs a) {
  for (size_t p = 0; p < a.pixels; ++p) {
    const int32_t* KOMPAKT_RESTRICT x = a.x + p * a.pitch;
    uint8_t* KOMPAKT_RESTRICT code = a.code + p * a.pitch;
    for (size_t c = 0; c < a.lanes; ++c) {
      float v = static_cast<float>(x[c]) * a.m[c] + a.b[c];
      if (R != Residual::None) v = v + residual_at<R>(a, p * a.map_pitch + c);
      v *= a.inv_step;
      v = v > a.lo ? v : a.lo;
      v = v < a.hi ? v : a.hi;
      v = (v + kRound) - kRound;
      code[c] = static_cast<uint8_t>(static_cast<int32_t>(v)) & a.mask;
    }
  }
}

[[maybe_unused]] void rescale(const RescaleArgs& a) {
  switch (a.residual) {
    case Residual::None: return rescale_by<Residual::None>(a);
    case Residual::Real: return rescale_by<Residual::Real>(a);
    case Residual::Affine: return rescale_by<Residual::Affine>(a);
    case Residual::Table: return rescale_by<Residual::Table>(a);
  }
}

void affine_real(float* KOMPAKT_RESTRICT x, size_t pixels, size_t pitch, size_t lanes,
                 const float* KOMPAKT_RESTRICT m, const float* KOMPAKT_RESTRICT b) {
  for (size_t p = 0; p < pixels; ++p)
    for (size_t c = 0; c < lanes; ++c) x[p * pitch + c] = x[p * pitch + c] * m[c] + b[c];
}

void add(float* KOMPAKT_RESTRICT x, size_t n, const float* KOMPAKT_RESTRICT y) {
  for (size_t i = 0; i < n; ++i) x[i] += y[i];
}

void add_codes_table(float* KOMPAKT_RESTRICT x, size_t n, const uint8_t* KOMPAKT_RESTRICT code,
                     const float* KOMPAKT_RESTRICT values, int) {
  for (size_t i = 0; i < n; ++i) x[i] += values[code[i]];
}

void decode_table(const uint8_t* KOMPAKT_RESTRICT code, size_t n, const float* KOMPAKT_RESTRICT values, int,
                  float* KOMPAKT_RESTRICT x) {
  for (size_t i = 0; i < n; ++i) x[i] = values[code[i]];
}

void add_affine_codes(float* KOMPAKT_RESTRICT x, size_t n, const uint8_t* KOMPAKT_RESTRICT code, int32_t sign,
                      float scale) {
  for (size_t i = 0; i < n; ++i) x[i] += static_cast<float>((code[i] ^ sign) - sign) * scale;
}

void decode_affine(const uint8_t* KOMPAKT_RESTRICT code, size_t n, int32_t sign, float scale,
                   float* KOMPAKT_RESTRICT x) {
  for (size_t i = 0; i < n; ++i) x[i] = static_cast<float>((code[i] ^ sign) - sign) * scale;
}

void clamp(float* x, size_t n, float lo, float hi) {
  for (size_t i = 0; i < n; ++i) {
    const float v = x[i] > lo ? x[i] : lo;
    x[i] = v < hi ? v : hi;
  }
}

void map_table(const uint8_t* code, size_t n, const uint8_t* map, int, uint8_t* out) {
  for (size_t i = 0; i < n; ++i) out[i] = map[code[i]];
}

// `Inputs` codes to a byte, their bits at its upper end.
template <size_t Inputs>
void pack_tail(const uint8_t* code, size_t n, int plane, uint8_t* out) {
  for (size_t i = 0; i < n; i += Inputs) {
    unsigned byte = 0;
    for (size_t j = 0; j < Inputs && i + j < n; ++j) byte |= ((code[i + j] >> plane) & 1u) << (8 - Inputs + j);
    out[i / Inputs] = static_cast<uint8_t>(byte);
  }
}

void widen(const uint8_t* KOMPAKT_RESTRICT code, size_t n, int16_t sign, int16_t* KOMPAKT_RESTRICT level) {
  for (size_t i = 0; i < n; ++i) level[i] = static_cast<int16_t>((code[i] ^ sign) - sign);
}

bool has_nan(const float* x, size_t n) {
  int32_t found = 0;
  for (size_t i = 0; i < n; ++i) found |= x[i] != x[i];
  return found != 0;
}

// N channels at a time, whose best codes stay in registers over all positions of a window. Vectors of the compiler's,
// because it leaves the same loops over arrays scalar.
template <size_t N>
size_t max_codes_by(const uint8_t* const* from, size_t count, size_t c, size_t n, uint8_t flip, uint8_t* code) {
  typedef uint8_t Bytes __attribute__((vector_size(N), aligned(1), may_alias));  // anywhere in memory
  for (; c + N <= n; c += N) {
    Bytes best = *reinterpret_cast<const Bytes*>(code + c) ^ flip;
    for (size_t k = 0; k < count; ++k) {
      const Bytes x = *reinterpret_cast<const Bytes*>(from[k] + c) ^ flip;
      best = x > best ? x : best;
    }
    *reinterpret_cast<Bytes*>(code + c) = best ^ flip;
  }
  return c;
}

void max_codes(const uint8_t* const* from, size_t count, size_t n, uint8_t flip, uint8_t* code) {
  size_t c = max_codes_by<32>(from, count, 0, n, flip, code);
  c = max_codes_by<8>(from, count, c, n, flip, code);
  max_codes_by<1>(from, count, c, n, flip, code);
}

template <size_t N>
size_t sum_codes_by(const uint8_t* const* from, size_t count, size_t c, size_t n, int32_t sign, int32_t* x) {
  for (; c + N <= n; c += N) {
    uint32_t sum[N];
    for (size_t j = 0; j < N; ++j) sum[j] = static_cast<uint32_t>(x[c + j]);
    for (size_t k = 0; k < count; ++k) {
      const uint8_t* KOMPAKT_RESTRICT code = from[k] + c;
      for (size_t j = 0; j < N; ++j) sum[j] += static_cast<uint32_t>((code[j] ^ sign) - sign);
    }
    for (size_t j = 0; j < N; ++j) x[c + j] = static_cast<int32_t>(sum[j]);
  }
  return c;
}

void sum_codes(const uint8_t* const* from, size_t count, size_t n, int32_t sign, int32_t* x) {
  const size_t c = sum_codes_by<32>(from, count, 0, n, sign, x);
  sum_codes_by<1>(from, count, c, n, sign, x);
}
