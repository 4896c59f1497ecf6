// The generic routines, written once over a vector type that each generic_<isa>.cpp supplies:
//
//     struct V { Floats; Ints; ... }     8 lanes of 32 bits, or 32 bytes; static functions
//                                        named like the operations of programs
//
// Those files are compiled with their ISA's flags, so nothing here may come from the standard library: the linker would
// be free to keep the wide copy of an inline function for the whole program. For the same reason everything is in an
// unnamed namespace.
#pragma once

#include "codegen/program/routine_arguments.h"
#include "runtime/generic/generic_accumulate.h"
#include "runtime/generic/generic_sums.h"

namespace mithral {
namespace {

constexpr int kTableBlocks = kGenericTableBlocks;  // blocks that share one load of a table
constexpr int64_t kTileRows = kTableBlocks * kBlockRows;
constexpr int kHeldLevels = 4;  // their thresholds fit a vector each
constexpr int kSegmentEntries = kGenericSegmentEntries;

void stage_rows(const GenericModel& model, const void* arguments) {
  const auto& args = *static_cast<const codegen::StageArguments*>(arguments);
  const uint8_t* rows = static_cast<const uint8_t*>(args.x);
  float* staged = static_cast<float*>(args.staged);
  for (int64_t v = 0; v < args.n_vectors; ++v, rows += kLanes * args.row_stride, staged += kLanes) {
    for (int64_t u = 0; u < model.n_columns; ++u) {
      const uint8_t* from = rows + model.columns[u] * int64_t{sizeof(float)};
      float* to = staged + u * model.staged_rows;
      for (int i = 0; i < kLanes; ++i) to[i] = *reinterpret_cast<const float*>(from + i * args.row_stride);
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
// node numbers of a block's quarters; these take turns, which hides latencies.
template <typename V, int kLevel, int kDepth>
void descend(const float* slots, const float* const* columns, int64_t row, typename V::Ints* nodes) {
  if constexpr (kLevel < kDepth) {
    for (int quarter = 0; quarter < kQuarters; ++quarter) {
      const typename V::Floats limit = V::template select<kLevel>(slots + slots_before(kLevel), nodes[quarter]);
      const typename V::Floats x = V::load(columns[kLevel] + row + quarter * kLanes);
      nodes[quarter] = V::add_u32(V::add_u32(nodes[quarter], nodes[quarter]), V::less_f32(limit, x));
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
    typename V::Ints nodes[kQuarters];  // negated
    for (int quarter = 0; quarter < kQuarters; ++quarter) nodes[quarter] = V::zero();
    for (int level = 0; level < kHeld; ++level) {
      for (int quarter = 0; quarter < kQuarters; ++quarter) {
        const typename V::Floats limit = V::permute_8(thresholds[level], nodes[quarter]);
        const typename V::Floats x = V::load(columns[level] + row + quarter * kLanes);
        nodes[quarter] = V::add_u32(V::add_u32(nodes[quarter], nodes[quarter]), V::less_f32(limit, x));
      }
    }
    descend<V, kHeld, kDepth>(slots, columns, row, nodes);
    typename V::Ints packed = nodes[kQuarters - 1];
    for (int quarter = kQuarters - 2; quarter >= 0; --quarter) {
      packed = V::add_u32(V::template shl_u32<8>(packed), nodes[quarter]);
    }
    V::store(codes + block * model.block_bytes, V::sub_u32(V::zero(), packed));
  }
}

template <typename V>
void encode(const GenericModel& model, const void* arguments) {
  const auto& args = *static_cast<const codegen::EncodeArguments*>(arguments);
  const uint8_t* base = static_cast<const uint8_t*>(args.columns);
  const int64_t *offsets = args.offsets, n_blocks = args.n_blocks;
  uint8_t* codes = args.codes;
  for (int64_t c = 0; c < model.n_codebooks; ++c, codes += kBlockRows) {
    switch (model.depth) {
      case 1: encode_codebook<V, 1>(model, c, base, offsets, n_blocks, codes); break;
      case 2: encode_codebook<V, 2>(model, c, base, offsets, n_blocks, codes); break;
      case 3: encode_codebook<V, 3>(model, c, base, offsets, n_blocks, codes); break;
      case 4: encode_codebook<V, 4>(model, c, base, offsets, n_blocks, codes); break;
      case 5: encode_codebook<V, 5>(model, c, base, offsets, n_blocks, codes); break;
      case 6: encode_codebook<V, 6>(model, c, base, offsets, n_blocks, codes); break;
      case 7: encode_codebook<V, 7>(model, c, base, offsets, n_blocks, codes); break;
      case kGenericMaxDepth: encode_codebook<V, 8>(model, c, base, offsets, n_blocks, codes); break;
    }
  }
}

// Four dims of kQuarters vectors of rows at a time; those that are missing of the last four come to nothing.
template <typename V>
void quantise(const GenericModel& model, const void* arguments) {
  const auto& args = *static_cast<const codegen::QuantiseArguments*>(arguments);
  const typename V::Floats zero = V::broadcast_f32(0), largest = V::broadcast_f32(kGenericMaxQuantised);
  for (int64_t four = 0; four < args.n_fours; ++four) {
    const float* columns[kCodesOfLane];
    typename V::Floats inverse_steps[kCodesOfLane], zeros[kCodesOfLane];
    for (int i = 0; i < kCodesOfLane; ++i) {
      const int64_t dim = four * kCodesOfLane + i;
      columns[i] = reinterpret_cast<const float*>(static_cast<const uint8_t*>(args.columns) + args.offsets[dim]);
      inverse_steps[i] = V::broadcast_f32(args.steps[dim]);
      zeros[i] = V::broadcast_f32(args.steps[model.zeros_offset + dim]);
    }
    uint8_t* to = args.codes + four * kCodesOfLane * kBlockRows;
    for (int64_t block = 0; block < args.n_blocks; ++block, to += model.block_bytes) {
      for (int quarter = 0; quarter < kQuarters; ++quarter) {
        typename V::Ints packed = V::zero();
        for (int i = kCodesOfLane - 1; i >= 0; --i) {
          const typename V::Floats x = V::load(columns[i] + block * kBlockRows + quarter * kLanes);
          const typename V::Floats u = V::add_f32(V::mul_f32(x, inverse_steps[i]), zeros[i]);
          const typename V::Ints q = V::f32_to_i32(V::min_f32(V::max_f32(u, zero), largest));
          packed = V::add_u32(V::template shl_u32<8>(packed), q);
        }
        V::store(to + quarter * kVectorBytes, packed);
      }
    }
  }
}

// Where a scan's outputs come from.
struct ScanInput {
  const uint8_t* codes;
  const uint8_t* tables;
  const float* scales;
};

// One output of kBlocks blocks. Output vector i of block b goes to y + b * kBlockRows + i * kLanes.
template <typename V, int kBlocks, bool kOneSegment, bool kScaled>
void scan_output(const GenericModel& model, const ScanInput& input, int64_t output, int64_t first_block, float* y) {
  const int64_t block_bytes = model.block_bytes;
  const uint8_t* codes = input.codes + first_block * block_bytes;
  const uint8_t* table = input.tables + output * model.bytes_of_output;
  const uint8_t* weights = table + model.bytes_of_codebooks;
  const auto total = add_groups<V, kBlocks, kOneSegment>(model, [&](int64_t codebook, typename V::Ints* entries) {
    const uint8_t* of_codebook = codes + codebook * kBlockRows;
    if constexpr (kOneSegment) {
      const typename V::Ints held = V::broadcast_128(table);
      for (int b = 0; b < kBlocks; ++b) entries[b] = V::lookup_16(held, of_codebook + b * block_bytes);
      table += kSegmentEntries;
    } else {
      V::template lookup<kBlocks>(table, model.n_segments, of_codebook, block_bytes, entries);
      table += model.n_segments * kSegmentEntries;
    }
  });
  Scaling<V> scaling;
  if constexpr (kScaled) {
    const float* scale = input.scales + 2 * output;
    scaling = {V::broadcast_f32(scale[0]), V::broadcast_f32(scale[1]), V::broadcast_f32(model.least)};
  }
  MITHRAL_UNROLL_VECTORS
  for (int b = 0; b < kBlocks; ++b) {
    typename V::Ints lanes[kQuarters];
    total.lanes(b, lanes);
    if (model.n_fours > 0) add_linear_to_rows<V>(model, codes + b * block_bytes, weights, lanes);
    for (int quarter = 0; quarter < kQuarters; ++quarter) {
      float* to = y + b * kBlockRows + quarter * kLanes;
      if constexpr (kScaled) {
        write_scaled<V>(lanes[quarter], scaling, to);
      } else {
        write_sums<V>(lanes[quarter], to);
      }
    }
  }
}

template <typename V, bool kOneSegment, bool kScaled>
void outputs_to_columns(const GenericModel& model, const codegen::ScanArguments& args, int64_t n_outputs) {
  const ScanInput input = {args.codes, args.tables, args.scales};
  uint8_t* column = static_cast<uint8_t*>(args.y);
  for (int64_t m = 0; m < n_outputs; ++m, column += args.stride) {
    float* y = reinterpret_cast<float*>(column);
    int64_t block = 0;
    for (; block + kTableBlocks <= args.n_blocks; block += kTableBlocks) {
      scan_output<V, kTableBlocks, kOneSegment, kScaled>(model, input, m, block, y + block * kBlockRows);
    }
    for (; block < args.n_blocks; ++block) {
      scan_output<V, 1, kOneSegment, kScaled>(model, input, m, block, y + block * kBlockRows);
    }
  }
}

template <typename V, bool kOneSegment, bool kScaled>
void scan_to_columns(const GenericModel& model, const void* arguments) {
  const auto& args = *static_cast<const codegen::ScanArguments*>(arguments);
  outputs_to_columns<V, kOneSegment, kScaled>(model, args, model.n_outputs);
}

template <typename V, bool kOneSegment>
void range_to_columns(const GenericModel& model, const void* arguments) {
  const auto& args = *static_cast<const codegen::ScanArguments*>(arguments);
  outputs_to_columns<V, kOneSegment, true>(model, args, args.n_outputs);
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

// Fills tiles of up to `at_once` outputs of up to kTableBlocks blocks, column by column, and hands each to
// `take(first_row, rows, first_output, outputs)`.
template <typename V, bool kOneSegment, bool kScaled, typename Take>
void for_tiles(const GenericModel& model, const ScanInput& input, int64_t n_blocks, int64_t at_once, float* tile,
               Take&& take) {
  for (int64_t m = 0; m < model.n_outputs; m += at_once) {
    const int64_t left = model.n_outputs - m;
    const int64_t outputs = left < at_once ? left : at_once;
    for (int64_t block = 0; block < n_blocks;) {
      const bool several = block + kTableBlocks <= n_blocks;
      for (int64_t i = 0; i < outputs; ++i) {
        float* to = tile + i * kTileRows;
        if (several) {
          scan_output<V, kTableBlocks, kOneSegment, kScaled>(model, input, m + i, block, to);
        } else {
          scan_output<V, 1, kOneSegment, kScaled>(model, input, m + i, block, to);
        }
      }
      const int64_t blocks = several ? kTableBlocks : 1;
      take(block * kBlockRows, blocks * kBlockRows, m, outputs);
      block += blocks;
    }
  }
}

template <typename V, bool kOneSegment, bool kScaled>
void scan_to_rows(const GenericModel& model, const void* arguments) {
  const auto& args = *static_cast<const codegen::ScanArguments*>(arguments);
  uint8_t* y = static_cast<uint8_t*>(args.y);
  for_tiles<V, kOneSegment, kScaled>(model, {args.codes, args.tables, args.scales}, args.n_blocks, model.tile_outputs,
                                     args.tile, [&](int64_t row, int64_t rows, int64_t m, int64_t outputs) {
                                       write_rows<V>(args.tile, rows, outputs, y + row * args.stride + m * 4,
                                                     args.stride);
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

template <typename V, bool kOneSegment>
void argmax(const GenericModel& model, const void* arguments) {
  const auto& args = *static_cast<const codegen::ArgmaxArguments*>(arguments);
  for (int64_t row = 0; row < args.n_blocks * kBlockRows; ++row) {
    args.best[row] = -__builtin_inff();
    args.index[row] = 0;
  }
  for_tiles<V, kOneSegment, true>(model, {args.codes, args.tables, args.scales}, args.n_blocks, model.compared_outputs,
                                  args.tile, [&](int64_t row, int64_t rows, int64_t m, int64_t outputs) {
                                    compare_rows(args.tile, rows, m, outputs, args.best + row, args.index + row);
                                  });
}

// Calls the scan that is compiled for the model's kind of tables.
template <GenericRoutine kOneSegment, GenericRoutine kSegments>
void scan(const GenericModel& model, const void* arguments) {
  (model.n_segments == 1 ? kOneSegment : kSegments)(model, arguments);
}

template <typename V>
constexpr GenericBuild generic_build() {
  return {.stage_rows = stage_rows,
          .encode = encode<V>,
          .quantise = quantise<V>,
          .scan_to_rows = scan<scan_to_rows<V, true, true>, scan_to_rows<V, false, true>>,
          .scan_to_columns = scan<scan_to_columns<V, true, true>, scan_to_columns<V, false, true>>,
          .sums_to_rows = scan<scan_to_rows<V, true, false>, scan_to_rows<V, false, false>>,
          .sums_to_columns = scan<scan_to_columns<V, true, false>, scan_to_columns<V, false, false>>,
          .range_to_columns = scan<range_to_columns<V, true>, range_to_columns<V, false>>,
          .argmax = scan<argmax<V, true>, argmax<V, false>>,
          .accumulate_rows = accumulate<V, true>,
          .accumulate_sums = accumulate<V, false>,
          .tables_hold_differences = V::kTablesHoldDifferences};
}

}  // namespace
}  // namespace mithral
