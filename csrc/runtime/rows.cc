#include "runtime/rows.h"

#include <algorithm>
#include <cstring>

#include "runtime/requantize.h"
#include "runtime/rescale.h"

namespace kompakt {
namespace {

// Calls body(row offset, map offset, elements) for runs that are contiguous on both sides.
template <typename Body>
void for_runs(const Row& row, size_t map_channels, const Body& body) {
  const size_t first = row.first_pixel * map_channels + row.first_channel;
  if (row.pitch == map_channels && row.channels == map_channels) return body(0, first, row.pixels * row.pitch);
  for (size_t p = 0; p < row.pixels; ++p) body(p * row.pitch, first + p * map_channels, row.channels);
}

template <typename T>
void store(const T* buffer, uint8_t* map, const Row& row, size_t map_channels) {
  T* to = reinterpret_cast<T*>(map);
  for_runs(row, map_channels, [&](size_t at, size_t in_map, size_t n) {
    if (to + in_map != buffer + at) std::memcpy(to + in_map, buffer + at, n * sizeof(T));
  });
}

void store_placed(const Step& step, uint8_t* map, const Row& row) {
  size_t offsets[kTilePixels];
  for (Row part = row; part.pixels > 0;) {  // tiles of whole rows may be larger
    const size_t left = part.pixels;
    part.pixels = std::min(left, kTilePixels);
    store_offsets(step, part, offsets);
    for (size_t p = 0; p < part.pixels; ++p)
      std::memcpy(map + offsets[p], part.code + p * part.pitch, part.channels);
    part.first_pixel += part.pixels;
    part.code += part.pixels * part.pitch;
    part.pixels = left - part.pixels;
  }
}

// More than 15 thresholds: binary search.
void encode_wide(const Step& step, const Row& row) {
  const auto& t = step.real_thresholds;
  for (size_t i = 0; i < row.pixels * row.pitch; ++i)  // t < x is x > t, false for NaN
    row.code[i] = static_cast<uint8_t>(std::lower_bound(t.begin(), t.end(), row.real[i]) - t.begin());
}

void threshold_wide(const Step& step, const Row& row) {
  const size_t count = (size_t{1} << step.bits) - 1;
  for (size_t c = 0; c < row.channels; ++c) {
    const size_t channel = row.first_channel + c;
    const int32_t* first = step.thresholds.data() + channel * count;
    for (size_t p = 0; p < row.pixels; ++p) {
      const int32_t x = row.acc[p * row.pitch + c] ^ step.flip[channel];
      row.code[p * row.pitch + c] = static_cast<uint8_t>(std::upper_bound(first, first + count, x) - first);
    }
  }
}

}  // namespace

void store_offsets(const Step& step, const Row& row, size_t* offsets) {
  if (step.placement != nullptr) {
    pixel_offsets(*step.placement, row.first_pixel, row.pixels, offsets);
  } else {
    for (size_t p = 0; p < row.pixels; ++p) offsets[p] = (row.first_pixel + p) * step.map_channels;
  }
  for (size_t p = 0; p < row.pixels; ++p) offsets[p] += row.first_channel;
}

void run_step(const Step& step, const KernelSet& kernels, const Maps& maps, const Row& row) {
  const RowOps& ops = kernels.rows;
  const size_t n = row.pixels * row.pitch;
  const size_t lanes = (row.channels + kLanes - 1) / kLanes * kLanes;
  switch (step.kind) {
    case Step::Kind::AffineAcc:
      return ops.affine_acc(row.acc, row.pixels, row.pitch, lanes, step.m.data() + row.first_channel,
                            step.b.data() + row.first_channel, row.real);
    case Step::Kind::AffineReal:
      return ops.affine_real(row.real, row.pixels, row.pitch, lanes, step.m.data() + row.first_channel,
                             step.b.data() + row.first_channel);
    case Step::Kind::AddReal: {
      const float* map = reinterpret_cast<const float*>(maps.at(step.map));
      return for_runs(row, step.map_channels,
                      [&](size_t at, size_t in_map, size_t count) { ops.add(row.real + at, count, map + in_map); });
    }
    case Step::Kind::AddCode: {
      const uint8_t* map = maps.at(step.map);
      return for_runs(row, step.map_channels, [&](size_t at, size_t in_map, size_t count) {
        ops.add_codes(row.real + at, count, map + in_map, step.values.data(), step.bits);
      });
    }
    case Step::Kind::AddAffineCode: {
      const uint8_t* map = maps.at(step.map);
      return for_runs(row, step.map_channels, [&](size_t at, size_t in_map, size_t count) {
        ops.add_affine_codes(row.real + at, count, map + in_map, step.sign, step.scale);
      });
    }
    case Step::Kind::Clamp: return ops.clamp(row.real, n, step.lo, step.hi);
    case Step::Kind::Quantize:
      return ops.quantize(row.real, n, step.inv_step, step.lo, step.hi, static_cast<uint8_t>((1 << step.bits) - 1),
                          row.code);
    case Step::Kind::Encode:
      if (step.bits > 4) return encode_wide(step, row);
      return ops.encode(row.real, n, step.real_thresholds.data(), step.real_thresholds.size(), row.code);
    case Step::Kind::Threshold: {
      if (step.bits > 4) return threshold_wide(step, row);
      const ThresholdArgs args{step.flip.data() + row.first_channel, step.thresholds.data() + row.first_channel,
                               (size_t{1} << step.bits) - 1, step.flip.size()};
      return ops.threshold(row.acc, row.pixels, row.pitch, lanes, args, row.code);
    }
    case Step::Kind::MapCodes: return ops.map(row.code, n, step.codes.data(), step.bits, row.code);
    case Step::Kind::Decode: return ops.decode(row.code, n, step.values.data(), step.bits, row.real);
    case Step::Kind::DecodeAffine: return ops.decode_affine(row.code, n, step.sign, step.scale, row.real);
    case Step::Kind::Unary: return kernels.floats.unary(row.real, n, step.function);
    case Step::Kind::AddConstant: {
      const size_t pixels = step.values.size() / step.map_channels;
      for (size_t p = 0; p < row.pixels; ++p)
        ops.add(row.real + p * row.pitch, row.channels,
                step.values.data() + (row.first_pixel + p) % pixels * step.map_channels + row.first_channel);
      return;
    }
    case Step::Kind::Rescale: return run_rescale(step, kernels, maps, row);
    case Step::Kind::Requantize: return run_requantize(step, kernels, maps, row);
    case Step::Kind::StoreAcc: return store(row.acc, maps.at(step.map), row, step.map_channels);
    case Step::Kind::StoreReal: return store(row.real, maps.at(step.map), row, step.map_channels);
    case Step::Kind::StoreCode:
      if (step.placement != nullptr) return store_placed(step, maps.at(step.map), row);
      return store(row.code, maps.at(step.map), row, step.map_channels);
  }
}

}  // namespace kompakt
