// Codes -> row-major outputs, a row at a time, as codegen/scan/lower_accumulate.cpp does it.
#pragma once

#include "codegen/program/routine_arguments.h"
#include "runtime/generic/generic_sums.h"

namespace mithral {
namespace {

constexpr int kRowTileVectors = kGenericRowTileOutputs / kVectorBytes;

// One row of a tile whose last vector may be filled in part.
template <typename V, int kVectors, bool kScaled>
void accumulate_row(const GenericModel& model, const uint8_t* tables, const float* scales, const uint8_t* codes,
                    const uint8_t* dims, int64_t outputs, float* y) {
  constexpr int64_t kEntryBytes = kVectors * kVectorBytes;
  const auto total = add_groups<V, kVectors, true>(model, [&](int64_t codebook, typename V::Ints* entries) {
    const int64_t entry = codebook * model.n_entries + codes[codebook * kBlockRows];
    for (int v = 0; v < kVectors; ++v) entries[v] = V::load(tables + entry * kEntryBytes + v * kVectorBytes);
  });
  const typename V::Floats least = V::broadcast_f32(model.least);
  const float *scale = scales, *offset = scales + kEntryBytes;
  MITHRAL_UNROLL_VECTORS
  for (int v = 0; v < kVectors; ++v) {
    typename V::Ints lanes[kQuarters];
    total.lanes(v, lanes);
    if (model.n_fours > 0) {
      const uint8_t* weights = tables + model.n_codebooks * model.n_entries * kEntryBytes;
      constexpr int64_t kFourBytes = kCodesOfLane * kEntryBytes;
      add_linear_to_outputs<V>(model, dims, weights + v * kCodesOfLane * kVectorBytes, kFourBytes, lanes);
    }
    for (int quarter = 0; quarter < kQuarters; ++quarter) {
      const int64_t i = v * kVectorBytes + quarter * kLanes, left = outputs - i;
      const auto write = [&](float* to) {
        if constexpr (kScaled) {
          write_scaled<V>(lanes[quarter], {V::load(scale + i), V::load(offset + i), least}, to);
        } else {
          write_sums<V>(lanes[quarter], to);
        }
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

// One tile of all rows; the arguments' pointers are those of the first of the tiles, this is the `tile`-th from it on.
template <typename V, int kVectors, bool kScaled>
void accumulate_tile(const GenericModel& model, const codegen::AccumulateArguments& args, int64_t tile,
                     int64_t outputs) {
  const int64_t bytes_of_output = model.n_codebooks * model.n_entries + model.n_fours * kCodesOfLane;
  const uint8_t* tables = args.tables + tile * kGenericRowTileOutputs * bytes_of_output;
  const float* scales = kScaled ? args.scales + tile * 2 * kGenericRowTileOutputs : nullptr;
  const uint8_t *codes = args.codes, *dims = args.linear;
  uint8_t* y = static_cast<uint8_t*>(args.y) + tile * kGenericRowTileOutputs * sizeof(float);
  for (int64_t row = 0; row < args.n_rows; ++row, codes += kCodesOfLane, dims += kCodesOfLane, y += args.row_stride) {
    accumulate_row<V, kVectors, kScaled>(model, tables, scales, codes, dims, outputs, reinterpret_cast<float*>(y));
  }
}

template <typename V, bool kScaled>
void accumulate(const GenericModel& model, const void* arguments) {
  const auto& args = *static_cast<const codegen::AccumulateArguments*>(arguments);
  for (int64_t tile = 0; tile < args.n_full; ++tile) {
    accumulate_tile<V, kRowTileVectors, kScaled>(model, args, tile, kGenericRowTileOutputs);
  }
  if (args.n_rest == 0) return;
  static_assert(kRowTileVectors == 4, "the rest has one to four vectors");
  const int64_t outputs = model.n_outputs % kGenericRowTileOutputs;
  switch ((outputs - 1) / kVectorBytes) {
    case 0: return accumulate_tile<V, 1, kScaled>(model, args, args.n_full, outputs);
    case 1: return accumulate_tile<V, 2, kScaled>(model, args, args.n_full, outputs);
    case 2: return accumulate_tile<V, 3, kScaled>(model, args, args.n_full, outputs);
    case 3: return accumulate_tile<V, 4, kScaled>(model, args, args.n_full, outputs);
  }
}

}  // namespace
}  // namespace mithral
