#include "codegen/target.h"

#include "codegen/error.h"

namespace mithral {
namespace {

struct IsaFacts {
  const char* name;
  Target target;
};

// One row per ISA, in the order of the enum. Of the 16 general registers emitted code uses all but the stack pointer
// and the one that holds its arguments.
constexpr IsaFacts kIsaFacts[] = {
    {"avx2",
     {.isa = Isa::kAvx2,
      .vector_bytes = 32,
      .n_vector_regs = 16,
      .n_pointer_regs = 14,
      .l1_bytes = 32 * 1024,
      .l2_bytes = 256 * 1024}},
};

const IsaFacts& facts(Isa isa) { return kIsaFacts[static_cast<size_t>(isa)]; }

}  // namespace

const std::vector<Isa>& all_isas() {
  static const std::vector<Isa> isas = [] {
    std::vector<Isa> list;
    for (const IsaFacts& row : kIsaFacts) list.push_back(row.target.isa);
    return list;
  }();
  return isas;
}

const char* isa_name(Isa isa) { return facts(isa).name; }

Isa isa_from_name(const std::string& name) {
  std::string names;
  for (const IsaFacts& row : kIsaFacts) {
    if (name == row.name) return row.target.isa;
    names += names.empty() ? row.name : std::string(", ") + row.name;
  }
  throw InvalidArgument(message("unknown ISA '", name, "'; allowed: ", names));
}

Target target_for(Isa isa) { return facts(isa).target; }

}  // namespace mithral
