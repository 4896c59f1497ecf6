#include "jit/assign_registers.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <utility>

#include "codegen/model/error.h"

namespace mithral::jit {
namespace {

using codegen::DefUse;
using codegen::kNoPreg;
using codegen::kNoVreg;
using codegen::Opcode;
using codegen::Program;

void extend(std::vector<Interval>& intervals, int id, int position) {
  Interval& interval = intervals[id];
  if (interval.first < 0) interval.first = position;
  interval.last = position;
}

// A value that is written before a loop and touched inside it must survive until the loop's end: the next iteration
// may read it.
void keep_through_loop(std::vector<Interval>& intervals, int begin, int end) {
  for (Interval& interval : intervals) {
    if (interval.first < begin && interval.last > begin && interval.last < end) interval.last = end;
  }
}

// Numbers of intervals by a position of each.
class ByPosition {
 public:
  ByPosition(size_t n_positions, size_t n_intervals) : first_(n_positions, -1), next_(n_intervals, -1) {}
  void add(int position, int id) {
    next_[id] = first_[position];
    first_[position] = id;
  }
  template <typename Visit>
  void visit(int position, Visit visit) const {
    for (int id = first_[position]; id >= 0; id = next_[id]) visit(id);
  }

 private:
  std::vector<int> first_, next_;
};

// One register class: gives each interval the lowest number that is free.
class LinearScan {
 public:
  LinearScan(const Program& program, const std::vector<Interval>& intervals, int n_registers, const char* what)
      : program_(program),
        intervals_(intervals),
        what_(what),
        n_registers_(n_registers),
        free_(~uint64_t{0} >> (64 - n_registers)),
        begins_(program.ops.size(), intervals.size()),
        ends_(program.ops.size(), intervals.size()),
        assignment_(intervals.size(), -1) {
    for (int id = static_cast<int>(intervals.size()) - 1; id >= 0; --id) {
      if (intervals[id].first < 0) continue;
      begins_.add(intervals[id].first, id);
      ends_.add(intervals[id].last, id);
    }
  }

  // A register whose value is last read by the operation that writes the new one is free for it: every backend reads
  // its sources before it writes.
  std::vector<int> run() {
    for (int position = 0; position < static_cast<int>(program_.ops.size()); ++position) {
      ends_.visit(position, [&](int id) {
        if (intervals_[id].first < position) release(id);
      });
      begins_.visit(position, [&](int id) {
        assignment_[id] = take(position);
        if (intervals_[id].last == position) release(id);  // a result that nobody reads
      });
    }
    return std::move(assignment_);
  }

  int n_used() const { return n_used_; }

 private:
  void release(int id) { free_ |= uint64_t{1} << assignment_[id]; }

  int take(int position) {
    if (free_ == 0) {
      throw InternalError(message("program ", program_.name, " needs more than ", n_registers_, " ", what_,
                                  " registers at operation ", position, ": ",
                                  codegen::print(program_, program_.ops[position])));
    }
    const int number = std::countr_zero(free_);
    free_ &= free_ - 1;
    n_used_ = std::max(n_used_, number + 1);
    return number;
  }

  const Program& program_;
  const std::vector<Interval>& intervals_;
  const char* what_;
  int n_registers_;
  uint64_t free_;  // a bit a register
  ByPosition begins_, ends_;
  std::vector<int> assignment_;
  int n_used_ = 0;
};

}  // namespace

Liveness live_intervals(const Program& program) {
  Liveness live{std::vector<Interval>(program.n_vregs), std::vector<Interval>(program.n_pregs)};
  for (int i = 0; i < static_cast<int>(program.ops.size()); ++i) {
    const DefUse registers = codegen::def_use(program.ops[i]);
    for (const auto use : registers.vector_uses) {
      if (use != kNoVreg) extend(live.vectors, static_cast<int>(use), i);
    }
    for (const auto use : registers.pointer_uses) {
      if (use != kNoPreg) extend(live.pointers, static_cast<int>(use), i);
    }
    if (registers.vector_def != kNoVreg) extend(live.vectors, static_cast<int>(registers.vector_def), i);
    if (registers.pointer_def != kNoPreg) extend(live.pointers, static_cast<int>(registers.pointer_def), i);
  }
  // Inner loops end first, so what they extend reaches the outer ones.
  const std::vector<int> loops = codegen::matching_loops(program);
  for (int i = 0; i < static_cast<int>(program.ops.size()); ++i) {
    if (program.ops[i].code != Opcode::loop_end) continue;
    keep_through_loop(live.vectors, loops[i], i);
    keep_through_loop(live.pointers, loops[i], i);
  }
  return live;
}

RegisterAssignment assign_registers(const Program& program) {
  const Liveness live = live_intervals(program);
  LinearScan vectors(program, live.vectors, program.target.n_vector_regs, "vector");
  LinearScan pointers(program, live.pointers, program.target.n_pointer_regs, "pointer");
  RegisterAssignment result;
  result.vectors = vectors.run();
  result.pointers = pointers.run();
  result.n_vectors = vectors.n_used();
  result.n_pointers = pointers.n_used();
  return result;
}

}  // namespace mithral::jit
