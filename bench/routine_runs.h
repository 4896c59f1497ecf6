// The routines of an emitted kernel by themselves, called chunk by chunk as runtime/execute.cpp does.
#pragma once

#include <cstdint>
#include <vector>

#include "bench/problem.h"
#include "runtime/executable.h"

namespace mithral::bench {

// Over as many whole blocks as there are rows for; x and y stay the caller's.
class RoutineRuns {
 public:
  RoutineRuns(const Model& model, Isa isa, int64_t n_rows, const float* x, float* y);

  int64_t n_rows() const { return n_blocks_ * layout().block_rows(); }
  int64_t code_bytes() const { return n_blocks_ * layout().block_bytes(); }

  void stage() const;  // row-major x -> staged columns
  void encode(Order order) const;
  void encode_columns(InputType type) const;  // x's memory, taken for columns of that type
  void scan(Order order) const;      // by byte shuffles, straight into y: calls may accumulate rows or stream instead
  void quantise(Order order) const;  // of a model that is linear dims alone, all columns
  void accumulate() const;           // row-major outputs of many columns

 private:
  const codegen::Schedule& schedule() const { return executable_.lowered.schedule; }
  const codegen::CodeLayout& layout() const { return schedule().codes; }
  const std::vector<int32_t>& columns() const { return executable_.lowered.encoder->columns(); }
  template <typename Body>
  void for_each_chunk(Body&& body) const;
  template <typename Body>
  void for_each_staged(Body&& body) const;

  Executable executable_;
  const float* x_;
  float* y_;
  int64_t n_x_rows_, n_blocks_;
  std::vector<int64_t> offsets_, staged_offsets_;  // bytes from x, and from staged, to each column that is read
  Buffer codes_, staged_, tile_;
};

}  // namespace mithral::bench
