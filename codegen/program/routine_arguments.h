// What routines are called with: one struct each of 64-bit fields. Programs read field i by the operation `arg` i,
// emitted code from 8 * i bytes behind the pointer that it gets. Strides are in bytes. Code holds what is constant and
// small; tables stand beside it and come as arguments, so that code and the time it takes to make it do not grow with
// them.
//
// Nothing here is of the standard library but integer types: the ahead-of-time kernels include it, whose files are
// compiled for wide vectors (runtime/generic/generic_routines.h).
#pragma once

#include <cstddef>
#include <cstdint>

namespace mithral::codegen {

template <size_t kCount>
constexpr size_t count_of(const char* const (&)[kCount]) {
  return kCount;
}

// ROUTINE_ARGUMENTS(Name, FIELDS): a struct of the fields, their names and their indices (`Name::Index::field`).
#define MITHRAL_MEMBER(type, name) type name;
#define MITHRAL_NAME(type, name) #name,
#define MITHRAL_INDEX(type, name) name,
#define MITHRAL_CHECK_OFFSET(type, name)                                     \
  static_assert(sizeof(type) == sizeof(int64_t), "an argument has 64 bits"); \
  static_assert(offsetof(Fields, name) == sizeof(int64_t) * static_cast<size_t>(Fields::Index::name));
#define ROUTINE_ARGUMENTS(Name, FIELDS)                                          \
  struct Name {                                                                  \
    enum class Index : int { FIELDS(MITHRAL_INDEX) };                            \
    static constexpr const char* kNames[] = {FIELDS(MITHRAL_NAME)};              \
    FIELDS(MITHRAL_MEMBER)                                                       \
  };                                                                             \
  namespace check_##Name {                                                       \
    using Fields = Name;                                                         \
    FIELDS(MITHRAL_CHECK_OFFSET)                                                 \
    static_assert(sizeof(Fields) == sizeof(int64_t) * count_of(Fields::kNames)); \
  }

// Groups of W rows of row-major input -> staged columns (code_layout.h).
#define STAGE_FIELDS(FIELD)  \
  FIELD(const void*, x)      \
  FIELD(int64_t, row_stride) \
  FIELD(void*, staged)       \
  FIELD(int64_t, n_vectors)
ROUTINE_ARGUMENTS(StageArguments, STAGE_FIELDS)

// Columns -> codes: column u, of those that the encoder reads, starts at columns + offsets[u].
#define ENCODE_FIELDS(FIELD)     \
  FIELD(const void*, columns)    \
  FIELD(const int64_t*, offsets) \
  FIELD(int64_t, n_blocks)       \
  FIELD(uint8_t*, codes)
ROUTINE_ARGUMENTS(EncodeArguments, ENCODE_FIELDS)

// Columns -> n_fours fours of quantised linear dims, beside the codes of their rows (code_layout.h): from the first of
// them on, dim s is the column that starts at columns + offsets[s], and `steps` are its inverse step and, further on,
// its zero (encode/linear/steps.h). `codes` is where the first rows' first four goes.
#define QUANTISE_FIELDS(FIELD)   \
  FIELD(const void*, columns)    \
  FIELD(const int64_t*, offsets) \
  FIELD(const float*, steps)     \
  FIELD(int64_t, n_fours)        \
  FIELD(int64_t, n_blocks)       \
  FIELD(uint8_t*, codes)
ROUTINE_ARGUMENTS(QuantiseArguments, QUANTISE_FIELDS)

// Rows -> the same, of n_vectors vectors of W dims, whose columns are adjacent: those of vector v are at x +
// offsets[v]. Of each of n_blocks blocks the first n_quads times four rows.
#define QUANTISE_ROWS_FIELDS(FIELD) \
  FIELD(const void*, x)             \
  FIELD(int64_t, row_stride)        \
  FIELD(const int64_t*, offsets)    \
  FIELD(const float*, steps)        \
  FIELD(int64_t, n_vectors)         \
  FIELD(int64_t, n_blocks)          \
  FIELD(int64_t, n_quads)           \
  FIELD(uint8_t*, codes)
ROUTINE_ARGUMENTS(QuantiseRowsArguments, QUANTISE_ROWS_FIELDS)

// Codes of whole blocks -> outputs, row-major (`stride` from row to row) or column-major (from column to column).
// `tables` as scan/lookup_tables.h lays them out and `scales` the pairs of scan/scales.h, both from the first of the
// outputs on: these are all, but `n_outputs` of kRangeToColumns. `tile` is scratch of row-major outputs.
#define SCAN_FIELDS(FIELD)      \
  FIELD(const uint8_t*, codes)  \
  FIELD(const uint8_t*, tables) \
  FIELD(const float*, scales)   \
  FIELD(void*, y)               \
  FIELD(int64_t, stride)        \
  FIELD(int64_t, n_blocks)      \
  FIELD(float*, tile)           \
  FIELD(int64_t, n_outputs)
ROUTINE_ARGUMENTS(ScanArguments, SCAN_FIELDS)

// Codes of whole blocks -> per row the first output with the largest value, in `index`. `numbers` are 0, 1, ... M - 1;
// `best`, the rows' largest values, and `tile` are scratch.
#define ARGMAX_FIELDS(FIELD)     \
  FIELD(const uint8_t*, codes)   \
  FIELD(const uint8_t*, tables)  \
  FIELD(const float*, scales)    \
  FIELD(const int32_t*, numbers) \
  FIELD(float*, best)            \
  FIELD(int32_t*, index)         \
  FIELD(int64_t, n_blocks)       \
  FIELD(float*, tile)
ROUTINE_ARGUMENTS(ArgmaxArguments, ARGMAX_FIELDS)

// Up to W rows of codes, which lie in their lanes' same byte, and of their linear dims -> n_full tiles of row-major
// outputs, then, if n_rest is 1, the last one, which is not full. `tables` as scan/row_tables.h lays them out and
// `scales` as scan/scales.h, both of the first of these tiles.
#define ACCUMULATE_FIELDS(FIELD) \
  FIELD(const uint8_t*, codes)   \
  FIELD(const uint8_t*, linear)  \
  FIELD(const uint8_t*, tables)  \
  FIELD(const float*, scales)    \
  FIELD(void*, y)                \
  FIELD(int64_t, row_stride)     \
  FIELD(int64_t, n_rows)         \
  FIELD(int64_t, n_full)         \
  FIELD(int64_t, n_rest)
ROUTINE_ARGUMENTS(AccumulateArguments, ACCUMULATE_FIELDS)

// As AccumulateArguments, contiguous rows past the caches (scan/line_stream.h has the picture). `buffer` is scratch.
// Where n_first is 1, the first of the tiles is the rows' first one, and its first lines are kept in `lines`.
#define STREAM_ROWS_FIELDS(FIELD) \
  FIELD(const uint8_t*, codes)    \
  FIELD(const uint8_t*, linear)   \
  FIELD(const uint8_t*, tables)   \
  FIELD(const float*, scales)     \
  FIELD(float*, y)                \
  FIELD(float*, buffer)           \
  FIELD(float*, lines)            \
  FIELD(int64_t, n_rows)          \
  FIELD(int64_t, n_first)         \
  FIELD(int64_t, n_full)          \
  FIELD(int64_t, n_rest)
ROUTINE_ARGUMENTS(StreamRowsArguments, STREAM_ROWS_FIELDS)

}  // namespace mithral::codegen
