// Columns, offsets and steps come as arguments: code does not grow with the dims.
#include "codegen/encode/linear/lower_quantise.h"

#include <bit>

#include "codegen/encode/linear/steps.h"
#include "codegen/encode/load_input.h"
#include "codegen/model/linear_dims.h"
#include "codegen/program/bytes.h"
#include "codegen/program/program_builder.h"

namespace mithral::codegen {
namespace {

constexpr int kFour = CodeLayout::kBytesOfLane;
constexpr int64_t kPointerBytes = 8;

class QuantiseLowering {
 protected:
  QuantiseLowering(RoutineKind kind, const CodeLayout& layout, const Target& target, InputType type)
      : layout_(layout), target_(target), type_(type), b_({kind, type}, target) {}

  // Four of these become bytes by pack(). A minimum with NaN is the second operand; what has no integer, NaN among it,
  // becomes the least one, and what is below 0 is 0 in unsigned bytes.
  Vreg quantised(Mem x, Vreg inverse_step, Vreg zero) {
    const Vreg u = b_.add_f32(b_.mul_f32(load_as_f32(b_, target_, type_, x), inverse_step), zero);
    return b_.f32_to_i32(b_.min_f32(largest_, u));
  }

  // Per segment: the bytes of v[0]'s four lanes, of v[1]'s, ...
  Vreg pack(const std::vector<Vreg>& v) {
    return b_.pack_i16_u8(b_.pack_i32_i16(v[0], v[1]), b_.pack_i32_i16(v[2], v[3]));
  }

  void load_largest() {
    largest_ = b_.broadcast_value("largest", std::bit_cast<uint32_t>(float{LinearDims::kMaxQuantised}));
  }

  const CodeLayout& layout_;
  const Target& target_;
  InputType type_;
  ProgramBuilder b_;

 private:
  Vreg largest_{};
};

// Four dims at a time over all blocks of the chunk, so that their steps stay in registers and few columns are streamed
// at a time.
class QuantiseColumns : public QuantiseLowering {
 public:
  QuantiseColumns(const CodeLayout& layout, const Target& target, InputType type)
      : QuantiseLowering(RoutineKind::kQuantise, layout, target, type) {}

  Program run() {
    load_largest();
    by_rows_ = b_.broadcast_128(at(b_.constant("bytes by rows", 16, bytes_by_rows())));
    const Preg offsets = b_.arg(Arg::offsets), steps = b_.arg(Arg::steps), codes = b_.arg(Arg::codes);
    b_.repeat(b_.arg(Arg::n_fours), [&] {
      lower_four(offsets, steps, codes);
      b_.advance(offsets, kFour * kPointerBytes);
      b_.advance(steps, kFour * kFloatBytes);
      b_.advance(codes, layout_.bytes_of_four());
    });
    return b_.finish();
  }

 private:
  using Arg = QuantiseArguments::Index;

  // Steps are in registers, but where the conversion of inputs needs these.
  struct Dim {
    Preg column;
    Vreg inverse_step, zero;
  };
  bool holds_steps() const { return target_.n_vector_regs > 16 || registers_to_load(target_, type_) == 1; }

  // pack() leaves four rows of a dim, then of the next one.
  static std::vector<uint8_t> bytes_by_rows() {
    std::vector<uint8_t> places;
    for (uint8_t row = 0; row < 4; ++row) {
      for (uint8_t dim = 0; dim < kFour; ++dim) places.push_back(4 * dim + row);
    }
    return places;
  }

  void lower_four(Preg offsets, Preg steps, Preg codes) {
    std::vector<Dim> dims;
    for (int i = 0; i < kFour; ++i) {
      dims.push_back({.column = b_.add(b_.load_i64(at(offsets, i * kPointerBytes)), b_.arg(Arg::columns))});
      if (holds_steps()) load_steps(dims.back(), steps, i);
    }
    const Preg to = b_.copy(codes);
    b_.repeat(b_.arg(Arg::n_blocks), [&] {
      for (int first_row = 0; first_row < layout_.block_rows(); first_row += target_.lanes()) {
        std::vector<Vreg> of_dims;
        for (int i = 0; i < kFour; ++i) {
          Dim dim = dims[i];
          if (!holds_steps()) load_steps(dim, steps, i);
          const Mem x = at(dim.column, int64_t{first_row} * element_bytes(type_));
          of_dims.push_back(quantised(x, dim.inverse_step, dim.zero));
        }
        b_.store(at(to, int64_t{first_row} * kFour), b_.lookup_16_by(pack(of_dims), by_rows_));
      }
      for (const Dim& dim : dims) b_.advance(dim.column, layout_.block_rows() * element_bytes(type_));
      b_.advance(to, layout_.block_bytes());
    });
  }

  void load_steps(Dim& dim, Preg steps, int i) {
    dim.inverse_step = b_.broadcast_32(at(steps, i * kFloatBytes));
    dim.zero = b_.broadcast_32(at(steps, zeros_offset(layout_.n_linear) + i * kFloatBytes));
  }

  Vreg by_rows_{};
};

// W dims, which are adjacent columns, of four rows at a time: packed, segment i holds the dims 4i to 4i + 3 of the four
// rows, as their four has them. Row by row, so that lines are read in the order in which they lie.
class QuantiseRows : public QuantiseLowering {
 public:
  QuantiseRows(const CodeLayout& layout, int prefetch_rows, const Target& target, InputType type)
      : QuantiseLowering(RoutineKind::kQuantiseRows, layout, target, type), prefetch_rows_(prefetch_rows) {}

  Program run() {
    load_largest();
    const Preg x = b_.arg(Arg::x), stride = b_.arg(Arg::row_stride), stride_2 = b_.add(stride, stride);
    strides_ = {kNoPreg, stride, stride_2, b_.add(stride_2, stride)};
    if (prefetch_rows_ > 0) ahead_ = b_.mul_imm(stride, prefetch_rows_);
    const Preg codes = b_.arg(Arg::codes);
    b_.repeat(b_.arg(Arg::n_blocks), [&] {
      b_.repeat(b_.arg(Arg::n_quads), [&] {
        lower_rows(x, codes);
        b_.add_to(x, x, stride_2);
        b_.add_to(x, x, stride_2);
        b_.advance(codes, kRows * kFour);
      });
      b_.advance(codes, layout_.block_bytes() - layout_.bytes_of_four());  // of several blocks all rows are quantised
    });
    return b_.finish();
  }

 private:
  using Arg = QuantiseRowsArguments::Index;
  static constexpr int kRows = 4;

  void lower_rows(Preg x, Preg codes) {
    const Preg offsets = b_.arg(Arg::offsets), steps = b_.arg(Arg::steps), to = b_.copy(codes);
    b_.repeat(b_.arg(Arg::n_vectors), [&] {
      const Preg columns = b_.add(b_.load_i64(at(offsets)), x);
      prefetch(columns);
      const Vreg inverse_step = b_.load(at(steps)), zero = b_.load(at(steps, zeros_offset(layout_.n_linear)));
      std::vector<Vreg> rows;
      for (int row = 0; row < kRows; ++row) rows.push_back(quantised(row_of(columns, row), inverse_step, zero));
      const Vreg packed = pack(rows);
      for (int i = 0; i < target_.lanes() / kFour; ++i) {
        b_.store_segment(at(to, i * layout_.bytes_of_four()), packed, i);
      }
      b_.advance(offsets, kPointerBytes);
      b_.advance(steps, target_.vector_bytes);
      b_.advance(to, target_.lanes() / kFour * layout_.bytes_of_four());
    });
  }

  // Lines of rows to come: where some of a row's are left out, the hardware does not see what comes next.
  void prefetch(Preg columns) {
    if (prefetch_rows_ == 0) return;
    const Preg ahead = b_.add(columns, ahead_);
    for (int row = 0; row < kRows; ++row) b_.prefetch(row_of(ahead, row));
  }

  Mem row_of(Preg columns, int row) const { return at(columns, strides_[row], 0); }

  int prefetch_rows_;
  std::vector<Preg> strides_;  // 0, 1, 2, 3 rows, in bytes
  Preg ahead_{};
};

}  // namespace

Program lower_quantise(const CodeLayout& layout, const Target& target, InputType type) {
  return QuantiseColumns(layout, target, type).run();
}

Program lower_quantise_rows(const CodeLayout& layout, int prefetch_rows, const Target& target, InputType type) {
  return QuantiseRows(layout, prefetch_rows, target, type).run();
}

int64_t count_row_vectors(const LinearDims& linear, int64_t lanes) {
  const std::vector<int32_t>& dims = linear.dims();
  int64_t count = 0;
  for (int64_t first = 0; first + lanes <= linear.n_columns(); first += lanes, ++count) {
    for (int64_t s = first + 1; s < first + lanes; ++s) {
      if (dims[s] != dims[s - 1] + 1) return count;
    }
  }
  return count;
}

}  // namespace mithral::codegen
