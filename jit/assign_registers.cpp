#include "jit/assign_registers.h"

#include <algorithm>

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

// One register class: gives each interval the lowest number that is free.
class LinearScan {
 public:
  LinearScan(const Program& program, const std::vector<Interval>& intervals, int n_registers, const char* what)
      : program_(program), intervals_(intervals), free_(n_registers, true), what_(what) {}

  std::vector<int> run() {
    std::vector<int> order;
    for (int id = 0; id < static_cast<int>(intervals_.size()); ++id) {
      if (intervals_[id].first >= 0) order.push_back(id);
    }
    std::sort(order.begin(), order.end(),
              [this](int x, int y) { return std::pair(intervals_[x].first, x) < std::pair(intervals_[y].first, y); });
    std::vector<int> assignment(intervals_.size(), -1);
    for (const int id : order) {
      release_before(intervals_[id].first, assignment);
      assignment[id] = take(id);
      live_.push_back(id);
    }
    return assignment;
  }

  int n_used() const { return n_used_; }

 private:
  // A register whose value is last read by the operation that writes the new one is free for it: every backend reads
  // its sources before it writes.
  void release_before(int position, const std::vector<int>& assignment) {
    const auto dead = [&](int id) {
      if (intervals_[id].last > position) return false;
      free_[assignment[id]] = true;
      return true;
    };
    live_.erase(std::remove_if(live_.begin(), live_.end(), dead), live_.end());
  }

  int take(int id) {
    const auto free = std::find(free_.begin(), free_.end(), true);
    if (free == free_.end()) {
      const int position = intervals_[id].first;
      throw InternalError(message("program ", program_.name, " needs more than ", free_.size(), " ", what_,
                                  " registers at operation ", position, ": ",
                                  codegen::print(program_, program_.ops[position])));
    }
    *free = false;
    const int number = static_cast<int>(free - free_.begin());
    n_used_ = std::max(n_used_, number + 1);
    return number;
  }

  const Program& program_;
  const std::vector<Interval>& intervals_;
  std::vector<bool> free_;
  std::vector<int> live_;
  const char* what_;
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
