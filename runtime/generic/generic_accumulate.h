// Codes -> row-major outputs, a row at a time, as codegen/scan/lower_accumulate.cpp does it.
#pragma once

#include "runtime/generic/generic_sums.h"

namespace mithral {
namespace {

constexpr int kRowTileVectors = kGenericRowTileOutputs / kVectorBytes;

// One row of a tile whose last vector may be filled in part.
template <typename V, int kVectors, bool kScaled>
void accumulate_row(const GenericModel& model, const uint8_t* tables, const uint8_t* codes, int64_t first_output,
                    int64_t outputs, float* y) {
  constexpr int64_t kLeafBytes = kVectors * kVectorBytes;
  const auto total = add_groups<V, kVectors, true>(model, [&](int64_t codebook, typename V::Ints* entries) {
    const int64_t leaf = (codebook << model.depth) + codes[codebook * kBlockRows];
    for (int v = 0; v < kVectors; ++v) entries[v] = V::load(tables + leaf * kLeafBytes + v * kVectorBytes);
  });
  const typename V::Floats least = V::broadcast_f32(model.least);
  const float *scale = model.scale + first_output, *offset = model.offset + first_output;
  MITHRAL_UNROLL_VECTORS
  for (int v = 0; v < kVectors; ++v) {
    typename V::Ints lanes[kGroups];
    total.lanes(v, lanes);
    for (int group = 0; group < kGroups; ++group) {
      const int64_t i = v * kVectorBytes + group * kLanes, left = outputs - i;
      const auto write = [&](float* to) {
        write_lanes<V, kScaled>(lanes[group], {V::load(scale + i), V::load(offset + i), least}, to);
      };
      if (v < kVectors - 1 || left >= kLanes) {
        write(y + i);
      } else if (left > 0) {
        float last[kLanes];
        write(last);
        __builtin_memcpy(y + i, last, left * sizeof(float));
      }
    }
  }
}

// One tile of all rows. args: as accumulate.
template <typename V, int kVectors, bool kScaled>
void accumulate_tile(const GenericModel& model, const int64_t* args, int64_t tile, int64_t outputs) {
  const int64_t first = tile * kGenericRowTileOutputs;
  const uint8_t* tables = model.tables_by_leaf + (first * model.n_codebooks << model.depth);
  const uint8_t* codes = pointer<const uint8_t>(args[0]);
  uint8_t* y = pointer<uint8_t>(args[1]) + (first - args[4] * kGenericRowTileOutputs) * sizeof(float);
  for (int64_t row = 0; row < args[3]; ++row, codes += kCodesOfLane, y += args[2]) {
    accumulate_row<V, kVectors, kScaled>(model, tables, codes, first, outputs, reinterpret_cast<float*>(y));
  }
}

// args: codes, y, row_stride, n_rows, tile, n_full, n_rest
template <typename V, bool kScaled>
void accumulate(const GenericModel& model, const int64_t* args) {
  const int64_t end = args[4] + args[5];
  for (int64_t tile = args[4]; tile < end; ++tile) {
    accumulate_tile<V, kRowTileVectors, kScaled>(model, args, tile, kGenericRowTileOutputs);
  }
  if (args[6] == 0) return;
  static_assert(kRowTileVectors == 4, "the rest has one to four vectors");
  const int64_t outputs = model.n_outputs - end * kGenericRowTileOutputs;
  switch ((outputs - 1) / kVectorBytes) {
    case 0: return accumulate_tile<V, 1, kScaled>(model, args, end, outputs);
    case 1: return accumulate_tile<V, 2, kScaled>(model, args, end, outputs);
    case 2: return accumulate_tile<V, 3, kScaled>(model, args, end, outputs);
    case 3: return accumulate_tile<V, 4, kScaled>(model, args, end, outputs);
  }
}

}  // namespace
}  // namespace mithral
