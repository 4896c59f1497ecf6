// Virtual registers -> machine registers: liveness over the flat list, then a linear scan. It knows register counts and
// loops, and nothing of x86.
//
//     op      0   1   2   3   4   5   6   7
//     v0      |---------------|                 a loop from 3 to 6 that reads v1, written before it, keeps v1 to 6;
//     v1          |-------------------|         v2 lives inside one iteration and shares v0's register afterwards
//     v2                          |---|
//
// There is no spilling: a program that needs more registers than the target has is a wrong choice of schedule.
#pragma once

#include <vector>

#include "codegen/program/program.h"

namespace mithral::jit {

struct RegisterAssignment {
  std::vector<int> vectors;   // [virtual vector register] -> number below Target::n_vector_regs
  std::vector<int> pointers;  // [virtual pointer register] -> number below Target::n_pointer_regs
  int n_vectors = 0;          // machine registers in use
  int n_pointers = 0;
};

// Throws InternalError when a class needs more registers than the target has; the message names the operation.
RegisterAssignment assign_registers(const codegen::Program& program);

// First and last operation at which each register's value matters; {-1, -1} for a register that no operation names.
// Exposed for tests.
struct Interval {
  int first = -1;
  int last = -1;
};
struct Liveness {
  std::vector<Interval> vectors;
  std::vector<Interval> pointers;
};
Liveness live_intervals(const codegen::Program& program);

}  // namespace mithral::jit
