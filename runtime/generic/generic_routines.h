// The generic routines, written once over a vector type that each generic_<isa>.cpp supplies:
//
//     struct V { Floats; Ints; ... }     8 lanes of 32 bits, or 32 bytes; static functions named like the program
//     operations
//
// Those files are compiled with their ISA's flags, so nothing here may come from the standard library: the linker would
// be free to keep the wide copy of an inline function for the whole program. For the same reason everything is in an
// unnamed namespace.
#pragma once

#include "runtime/generic/generic_accumulate.h"
#include "runtime/generic/generic_sums.h"

namespace mithral {
namespace {

constexpr int kTallTile = kGenericTallTile;  // blocks that share one load of a table
constexpr int64_t kTileRows = kTallTile * kBlockRows;
constexpr int kHeldLevels = 4;  // their thresholds fit a vector each
constexpr int kSegmentEntries = kGenericSegmentEntries;

// args: x, row_stride, staged, n_groups
void stage_rows(const GenericModel& model, const int64_t* args) {
  const int64_t row_stride = args[1];
  const uint8_t* rows = pointer<const uint8_t>(args[0]);
  float* staged = pointer<float>(args[2]);
  for (int64_t group = 0; group < args[3]; ++group, rows += kLanes * row_stride, staged += kLanes) {
    for (int64_t u = 0; u < model.n_columns; ++u) {
      const uint8_t* from = rows + model.columns[u] * int64_t{sizeof(float)};
      float* to = staged + u * model.staged_rows;
      for (int i = 0; i < kLanes; ++i) to[i] = *reinterpret_cast<const float*>(from + i * row_stride);
    }
  }
}

// Threshold slots of a codebook in front of those of `level`.
constexpr int64_t slots_before(int level) {
  int64_t slots = 0;
  for (int l = 0; l < level; ++l) slots += (1 << l) < kGenericSlots ? kGenericSlots : 1 << l;
  return slots;
}

// The levels of a tree from kLevel on, whose thresholds are too many to be kept in registers. `nodes` are the negated
// node numbers of a block's groups of rows; the groups take turns, which hides latencies.
template <typename V, int kLevel, int kDepth>
void descend(const float* slots, const float* const* columns, int64_t row, typename V::Ints* nodes) {
  if constexpr (kLevel < kDepth) {
    for (int group = 0; group < kGroups; ++group) {
      const typename V::Floats limit = V::template select<kLevel>(slots + slots_before(kLevel), nodes[group]);
      const typename V::Floats x = V::load(columns[kLevel] + row + group * kLanes);
      nodes[group] = V::add_u32(V::add_u32(nodes[group], nodes[group]), V::less_f32(limit, x));
    }
    descend<V, kLevel + 1, kDepth>(slots, columns, row, nodes);
  }
}

// One tree of compile-time depth over `n_blocks` blocks.
template <typename V, int kDepth>
void encode_codebook(const GenericModel& model, int64_t codebook, const uint8_t* base, const int64_t* offsets,
                     int64_t n_blocks, uint8_t* codes) {
  constexpr int kHeld = kDepth < kHeldLevels ? kDepth : kHeldLevels;
  const float* columns[kDepth];
  for (int level = 0; level < kDepth; ++level) {
    const int32_t column = model.level_columns[codebook * kDepth + level];
    columns[level] = reinterpret_cast<const float*>(base + offsets[column]);
  }
  const float* slots = model.thresholds + codebook * slots_before(kDepth);
  typename V::Floats thresholds[kHeld];
  for (int level = 0; level < kHeld; ++level) thresholds[level] = V::load(slots + slots_before(level));
  for (int64_t block = 0; block < n_blocks; ++block) {
    const int64_t row = block * kBlockRows;
    typename V::Ints nodes[kGroups];  // negated
    for (int group = 0; group < kGroups; ++group) nodes[group] = V::zero();
    for (int level = 0; level < kHeld; ++level) {
      for (int group = 0; group < kGroups; ++group) {
        const typename V::Floats limit = V::permute_8(thresholds[level], nodes[group]);
        const typename V::Floats x = V::load(columns[level] + row + group * kLanes);
        nodes[group] = V::add_u32(V::add_u32(nodes[group], nodes[group]), V::less_f32(limit, x));
      }
    }
    descend<V, kHeld, kDepth>(slots, columns, row, nodes);
    typename V::Ints packed = nodes[kGroups - 1];
    for (int group = kGroups - 2; group >= 0; --group) {
      packed = V::add_u32(V::template shl_u32<8>(packed), nodes[group]);
    }
    V::store(codes + block * model.n_codebooks * kBlockRows, V::sub_u32(V::zero(), packed));
  }
}

// args: columns, offsets, n_blocks, codes
template <typename V>
void encode(const GenericModel& model, const int64_t* args) {
  const uint8_t* base = pointer<const uint8_t>(args[0]);
  const int64_t* offsets = pointer<const int64_t>(args[1]);
  uint8_t* codes = pointer<uint8_t>(args[3]);
  for (int64_t c = 0; c < model.n_codebooks; ++c, codes += kBlockRows) {
    switch (model.depth) {
      case 1: encode_codebook<V, 1>(model, c, base, offsets, args[2], codes); break;
      case 2: encode_codebook<V, 2>(model, c, base, offsets, args[2], codes); break;
      case 3: encode_codebook<V, 3>(model, c, base, offsets, args[2], codes); break;
      case 4: encode_codebook<V, 4>(model, c, base, offsets, args[2], codes); break;
      case 5: encode_codebook<V, 5>(model, c, base, offsets, args[2], codes); break;
      case 6: encode_codebook<V, 6>(model, c, base, offsets, args[2], codes); break;
      case 7: encode_codebook<V, 7>(model, c, base, offsets, args[2], codes); break;
      case kGenericMaxDepth: encode_codebook<V, 8>(model, c, base, offsets, args[2], codes); break;
    }
  }
}

// One output of kBlocks blocks. Output vector i of block b goes to y + b * kBlockRows + i * kLanes.
template <typename V, int kBlocks, bool kOneSegment, bool kScaled>
void scan_output(const GenericModel& model, int64_t output, const uint8_t* codes, float* y) {
  const int64_t block_bytes = model.n_codebooks * kBlockRows;
  const int64_t table_bytes = kOneSegment ? kSegmentEntries : model.n_segments * kSegmentEntries;
  const uint8_t* table = model.tables + output * model.n_codebooks * table_bytes;
  const auto total = add_groups<V, kBlocks, kOneSegment>(model, [&](int64_t codebook, typename V::Ints* entries) {
    const uint8_t* of_codebook = codes + codebook * kBlockRows;
    if constexpr (kOneSegment) {
      const typename V::Ints held = V::broadcast_128(table);
      for (int b = 0; b < kBlocks; ++b) entries[b] = V::lookup_16(held, of_codebook + b * block_bytes);
    } else {
      V::template lookup<kBlocks>(table, model.n_segments, of_codebook, block_bytes, entries);
    }
    table += table_bytes;
  });
  const Scaling<V> scaling = {V::broadcast_f32(model.scale[output]), V::broadcast_f32(model.offset[output]),
                              V::broadcast_f32(model.least)};
  MITHRAL_UNROLL_VECTORS
  for (int b = 0; b < kBlocks; ++b) {
    typename V::Ints lanes[kGroups];
    total.lanes(b, lanes);
    for (int group = 0; group < kGroups; ++group) {
      write_lanes<V, kScaled>(lanes[group], scaling, y + b * kBlockRows + group * kLanes);
    }
  }
}

// args: codes, y, col_stride, n_blocks
template <typename V, bool kOneSegment, bool kScaled>
void outputs_to_columns(const GenericModel& model, const int64_t* args, int64_t first, int64_t count) {
  const int64_t block_bytes = model.n_codebooks * kBlockRows;
  uint8_t* column = pointer<uint8_t>(args[1]);
  for (int64_t m = first; m < first + count; ++m, column += args[2]) {
    const uint8_t* codes = pointer<const uint8_t>(args[0]);
    float* y = reinterpret_cast<float*>(column);
    int64_t block = 0;
    for (; block + kTallTile <= args[3]; block += kTallTile) {
      scan_output<V, kTallTile, kOneSegment, kScaled>(model, m, codes + block * block_bytes, y + block * kBlockRows);
    }
    for (; block < args[3]; ++block) {
      scan_output<V, 1, kOneSegment, kScaled>(model, m, codes + block * block_bytes, y + block * kBlockRows);
    }
  }
}

// args: codes, y, col_stride, n_blocks
template <typename V, bool kOneSegment, bool kScaled>
void scan_to_columns(const GenericModel& model, const int64_t* args) {
  outputs_to_columns<V, kOneSegment, kScaled>(model, args, 0, model.n_outputs);
}

// args: codes, y, col_stride, n_blocks, first, count
template <typename V, bool kOneSegment>
void range_to_columns(const GenericModel& model, const int64_t* args) {
  outputs_to_columns<V, kOneSegment, true>(model, args, args[4], args[5]);
}

// Writes `rows` rows of `outputs` outputs, held column by column in `tile`, 8x8 at a time.
template <typename V>
void write_rows(const float* tile, int64_t rows, int64_t outputs, uint8_t* y, int64_t row_stride) {
  int64_t m = 0;
  for (; m + kLanes <= outputs; m += kLanes) {
    for (int64_t row = 0; row < rows; row += kLanes) {
      V::transpose_8x8(tile + m * kTileRows + row, kTileRows, y + row * row_stride + m * 4, row_stride);
    }
  }
  for (int64_t row = 0; row < rows; ++row) {
    float* to = reinterpret_cast<float*>(y + row * row_stride);
    for (int64_t rest = m; rest < outputs; ++rest) to[rest] = tile[rest * kTileRows + row];
  }
}

// Fills tiles of up to `at_once` outputs of up to kTallTile blocks, column by column, and hands each to
// `take(first_row, rows, first_output, outputs)`.
template <typename V, bool kOneSegment, bool kScaled, typename Take>
void for_tiles(const GenericModel& model, const uint8_t* codes, int64_t n_blocks, int64_t at_once, float* tile,
               Take&& take) {
  const int64_t block_bytes = model.n_codebooks * kBlockRows;
  for (int64_t m = 0; m < model.n_outputs; m += at_once) {
    const int64_t left = model.n_outputs - m;
    const int64_t outputs = left < at_once ? left : at_once;
    for (int64_t block = 0; block < n_blocks;) {
      const bool tall = block + kTallTile <= n_blocks;
      for (int64_t i = 0; i < outputs; ++i) {
        float* to = tile + i * kTileRows;
        if (tall) {
          scan_output<V, kTallTile, kOneSegment, kScaled>(model, m + i, codes + block * block_bytes, to);
        } else {
          scan_output<V, 1, kOneSegment, kScaled>(model, m + i, codes + block * block_bytes, to);
        }
      }
      const int64_t blocks = tall ? kTallTile : 1;
      take(block * kBlockRows, blocks * kBlockRows, m, outputs);
      block += blocks;
    }
  }
}

// args: codes, y, row_stride, n_blocks, tile
template <typename V, bool kOneSegment, bool kScaled>
void scan_to_rows(const GenericModel& model, const int64_t* args) {
  uint8_t* y = pointer<uint8_t>(args[1]);
  float* tile = pointer<float>(args[4]);
  for_tiles<V, kOneSegment, kScaled>(model, pointer<const uint8_t>(args[0]), args[3], model.tile_outputs, tile,
                                     [&](int64_t row, int64_t rows, int64_t m, int64_t outputs) {
                                       write_rows<V>(tile, rows, outputs, y + row * args[2] + m * 4, args[2]);
                                     });
}

// Rows in the inner loop, so that the compiler compares a vector of them at once.
void compare_rows(const float* __restrict tile, int64_t rows, int64_t first_output, int64_t outputs,
                  float* __restrict best, int32_t* __restrict index) {
  for (int64_t i = 0; i < outputs; ++i, tile += kTileRows) {
    const auto output = static_cast<int32_t>(first_output + i);
    for (int64_t row = 0; row < rows; ++row) {
      const bool larger = best[row] < tile[row];
      index[row] = larger ? output : index[row];
      best[row] = larger ? tile[row] : best[row];
    }
  }
}

// args: codes, best, index, n_blocks, tile
template <typename V, bool kOneSegment>
void argmax(const GenericModel& model, const int64_t* args) {
  float* best = pointer<float>(args[1]);
  int32_t* index = pointer<int32_t>(args[2]);
  float* tile = pointer<float>(args[4]);
  for (int64_t row = 0; row < args[3] * kBlockRows; ++row) {
    best[row] = -__builtin_inff();
    index[row] = 0;
  }
  for_tiles<V, kOneSegment, true>(model, pointer<const uint8_t>(args[0]), args[3], model.compared_outputs, tile,
                                  [&](int64_t row, int64_t rows, int64_t m, int64_t outputs) {
                                    compare_rows(tile, rows, m, outputs, best + row, index + row);
                                  });
}

// Calls the scan that is compiled for the model's kind of tables.
template <GenericRoutine kOneSegment, GenericRoutine kSegments>
void scan(const GenericModel& model, const int64_t* args) {
  (model.n_segments == 1 ? kOneSegment : kSegments)(model, args);
}

template <typename V>
constexpr GenericRoutines generic_routines() {
  return {
      {stage_rows, encode<V>, scan<scan_to_rows<V, true, true>, scan_to_rows<V, false, true>>,
       scan<scan_to_columns<V, true, true>, scan_to_columns<V, false, true>>,
       scan<scan_to_rows<V, true, false>, scan_to_rows<V, false, false>>,
       scan<scan_to_columns<V, true, false>, scan_to_columns<V, false, false>>, scan<argmax<V, true>, argmax<V, false>>,
       scan<range_to_columns<V, true>, range_to_columns<V, false>>, accumulate<V, true>, accumulate<V, false>},
      V::kTablesHoldDifferences};
}

}  // namespace
}  // namespace mithral
