// Table look-ups and bit packing, which loops do not express well; the loops take what is left.
#pragma once

void map(const uint8_t* code, size_t n, const uint8_t* map, int bits, uint8_t* out) {
  size_t i = 0;
  if (bits <= 4) {
    const uint8x16_t table = vld1q_u8(map);
    for (; i + 16 <= n; i += 16) vst1q_u8(out + i, vqtbl1q_u8(table, vld1q_u8(code + i)));
  }
  portable_kernels().rows.map(code + i, n - i, map, bits, out + i);
}

// Up to 16 floats as a table of 64 bytes.
inline uint8x16x4_t table_of(const float* values) {
  const uint8_t* bytes = reinterpret_cast<const uint8_t*>(values);
  return {{vld1q_u8(bytes), vld1q_u8(bytes + 16), vld1q_u8(bytes + 32), vld1q_u8(bytes + 48)}};
}

// Floats of four codes: byte b of float i is byte 4 * code[i] + b of the table.
inline float32x4_t look_up_4(const uint8_t* code, const uint8x16x4_t& table) {
  uint32_t codes;
  __builtin_memcpy(&codes, code, sizeof codes);
  const uint8x16_t each = {0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3};
  const uint8x16_t byte = {0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3};
  const uint8x16_t spread = vqtbl1q_u8(vreinterpretq_u8_u32(vdupq_n_u32(codes)), each);
  return vreinterpretq_f32_u8(vqtbl4q_u8(table, vaddq_u8(vshlq_n_u8(spread, 2), byte)));
}

void add_codes(float* x, size_t n, const uint8_t* code, const float* values, int bits) {
  size_t i = 0;
  if (bits <= 4) {
    const uint8x16x4_t table = table_of(values);
    for (; i + 4 <= n; i += 4) vst1q_f32(x + i, vaddq_f32(vld1q_f32(x + i), look_up_4(code + i, table)));
  }
  portable_kernels().rows.add_codes(x + i, n - i, code + i, values, bits);
}

void decode(const uint8_t* code, size_t n, const float* values, int bits, float* x) {
  size_t i = 0;
  if (bits <= 4) {
    const uint8x16x4_t table = table_of(values);
    for (; i + 4 <= n; i += 4) vst1q_f32(x + i, look_up_4(code + i, table));
  }
  portable_kernels().rows.decode(code + i, n - i, values, bits, x + i);
}

void pack(const uint8_t* code, size_t n, int plane, uint8_t* out) {
  const uint8x16_t bit = vdupq_n_u8(static_cast<uint8_t>(1 << plane));
  const uint8x16_t place = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const uint8x16_t bits = vandq_u8(vtstq_u8(vld1q_u8(code + i), bit), place);
    out[i / 8] = vaddv_u8(vget_low_u8(bits));
    out[i / 8 + 1] = vaddv_u8(vget_high_u8(bits));
  }
  portable_kernels().rows.pack(code + i, n - i, plane, out + i / 8);
}
