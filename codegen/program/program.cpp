#include "codegen/program/program.h"

#include "codegen/model/error.h"

namespace mithral::codegen {

const OpInfo& info(Opcode code) {
  static constexpr OpInfo kTable[] = {
#define VECTOR_OP(name, form, needs, meaning) {#name, Form::form, Feature::needs},
#define SCALAR_OP(name, form, meaning) {#name, Form::form, Feature::kAny},
#define LOOP_OP(name, form, meaning) {#name, Form::form, Feature::kAny},
#include "codegen/program/ops.def"
#undef VECTOR_OP
#undef SCALAR_OP
#undef LOOP_OP
  };
  return kTable[static_cast<size_t>(code)];
}

bool has_memory(Form form) {
  switch (form) {
    case Form::V_M:
    case Form::V_VM:
    case Form::V_VMI:
    case Form::V_VVM:
    case Form::V_VVVM:
    case Form::MV:
    case Form::MVI:
    case Form::P_M:
    case Form::M: return true;
    case Form::V_:
    case Form::V_V:
    case Form::V_VI:
    case Form::V_VV:
    case Form::V_VVV:
    case Form::V_VVI:
    case Form::P_I:
    case Form::P_PI:
    case Form::P_PP:
    case Form::P: return false;
  }
  return false;
}

bool has_immediate(Form form) {
  switch (form) {
    case Form::V_VI:
    case Form::V_VVI:
    case Form::V_VMI:
    case Form::MVI:
    case Form::P_I:
    case Form::P_PI: return true;
    case Form::V_:
    case Form::V_M:
    case Form::V_V:
    case Form::V_VV:
    case Form::V_VVV:
    case Form::V_VM:
    case Form::V_VVM:
    case Form::V_VVVM:
    case Form::MV:
    case Form::P_M:
    case Form::P_PP:
    case Form::M:
    case Form::P: return false;
  }
  return false;
}

std::vector<int> matching_loops(const Program& program) {
  std::vector<int> match(program.ops.size(), -1);
  std::vector<int> open;
  for (int i = 0; i < static_cast<int>(program.ops.size()); ++i) {
    const Opcode code = program.ops[i].code;
    if (code == Opcode::loop_begin) open.push_back(i);
    if (code != Opcode::loop_end) continue;
    ensure(!open.empty(), "loop_end without loop_begin");
    const int begin = open.back();
    open.pop_back();
    ensure(program.ops[begin].p == program.ops[i].p, "a loop begins and ends with different counters");
    match[begin] = i;
    match[i] = begin;
  }
  ensure(open.empty(), "loop_begin without loop_end");
  return match;
}

}  // namespace mithral::codegen
