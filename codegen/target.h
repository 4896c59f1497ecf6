// The machine that code is generated for, as data. Nothing here asks the host: code for any ISA can be generated, read
// and tested anywhere. runtime/host.h says which targets this CPU runs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mithral {

// Instruction sets that code can be generated for, in rising order.
enum class Isa : uint8_t {
  kAvx2,  // AVX2, 256-bit vectors (Haswell, Zen and later)
};

const char* isa_name(Isa isa);               // "avx2"
Isa isa_from_name(const std::string& name);  // throws InvalidArgument that lists the names
const std::vector<Isa>& all_isas();          // rising order, best last

struct Target {
  Isa isa;
  int vector_bytes;    // bytes of a vector register
  int n_vector_regs;   // architectural vector registers
  int n_pointer_regs;  // general registers that emitted code may use
  int64_t l1_bytes;    // data cache, per core
  int64_t l2_bytes;

  int lanes() const { return vector_bytes / 4; }   // 32-bit lanes of a vector
  int block_rows() const { return vector_bytes; }  // rows of a code block: one code byte per byte of a vector
};

// Facts of an ISA, with the cache sizes of the smallest CPUs that have it.
Target target_for(Isa isa);

}  // namespace mithral
