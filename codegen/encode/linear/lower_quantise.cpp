// Four dims at a time over all blocks of the chunk, so that their steps stay in registers and few columns are streamed
// at a time. Columns and steps come as arguments: code does not grow with the dims.
#include "codegen/encode/linear/lower_quantise.h"

#include <bit>

#include "codegen/encode/load_input.h"
#include "codegen/model/linear_dims.h"
#include "codegen/program/bytes.h"
#include "codegen/program/program_builder.h"
#include "codegen/program/sizes.h"

namespace mithral::codegen {
namespace {

constexpr int kFour = CodeLayout::kBytesOfLane;
constexpr int64_t kPointerBytes = 8;

class QuantiseLowering {
 public:
  QuantiseLowering(const CodeLayout& layout, const Target& target, InputType type)
      : layout_(layout), target_(target), type_(type), b_({RoutineKind::kQuantise, type}, target) {}

  Program run() {
    const Preg offsets = b_.arg(Arg::offsets), steps = b_.arg(Arg::steps);
    const Preg codes = b_.add_imm(b_.arg(Arg::codes), layout_.linear_offset(0));
    b_.repeat(b_.set(layout_.n_fours()), [&] {
      lower_four(offsets, steps, codes);
      b_.advance(offsets, kFour * kPointerBytes);
      b_.advance(steps, 2 * kFour * kFloatBytes);
      b_.advance(codes, layout_.bytes_of_four());
    });
    return b_.finish();
  }

 private:
  using Arg = QuantiseArguments::Index;

  struct Dim {
    Preg column;
    Vreg inverse_step, zero;
  };

  void lower_four(Preg offsets, Preg steps, Preg codes) {
    std::vector<Dim> dims;
    for (int i = 0; i < kFour; ++i) {
      dims.push_back({b_.add(b_.load_i64(at(offsets, i * kPointerBytes)), b_.arg(Arg::columns)),
                      b_.broadcast_32(at(steps, 2 * i * kFloatBytes)),
                      b_.broadcast_32(at(steps, (2 * i + 1) * kFloatBytes))});
    }
    const Preg to = b_.copy(codes);
    b_.repeat(b_.arg(Arg::n_blocks), [&] {
      for (int first_row = 0; first_row < layout_.block_rows(); first_row += target_.lanes()) {
        b_.store(at(to, int64_t{first_row} * kFour), quantise_four(dims, first_row));
      }
      for (const Dim& dim : dims) b_.advance(dim.column, layout_.block_rows() * element_bytes(type_));
      b_.advance(to, layout_.block_bytes());
    });
  }

  // W rows: a dim to each byte of their lanes, from the last one down.
  Vreg quantise_four(const std::vector<Dim>& dims, int first_row) {
    Vreg four = quantise(dims.back(), first_row);
    for (int i = kFour - 2; i >= 0; --i) four = b_.add_u32(b_.shl_u32(four, 8), quantise(dims[i], first_row));
    return four;
  }

  // A maximum with NaN is the operand in memory, 0.
  Vreg quantise(const Dim& dim, int first_row) {
    const Vreg x = load_as_f32(b_, target_, type_, at(dim.column, int64_t{first_row} * element_bytes(type_)));
    const Vreg u = b_.add_f32(b_.mul_f32(x, dim.inverse_step), dim.zero);
    return b_.f32_to_i32(b_.min_f32_m(b_.max_f32_m(u, vector_of("zeros", 0)), vector_of("largest", kLargest)));
  }

  static constexpr float kLargest = LinearDims::kMaxQuantised;

  Mem vector_of(const char* name, float value) {
    const std::vector<uint32_t> lanes(target_.lanes(), std::bit_cast<uint32_t>(value));
    return at(b_.constant(name, target_.vector_bytes, bytes_of(lanes)));
  }

  const CodeLayout& layout_;
  const Target& target_;
  InputType type_;
  ProgramBuilder b_;
};

}  // namespace

Program lower_quantise(const CodeLayout& layout, const Target& target, InputType type) {
  return QuantiseLowering(layout, target, type).run();
}

}  // namespace mithral::codegen
