#include "codegen/program/program_builder.h"

#include "codegen/program/bytes.h"

namespace mithral::codegen {

ConstantId ProgramBuilder::constant(std::string name, int alignment, std::vector<uint8_t> bytes) {
  const ConstantId next{static_cast<int32_t>(program_.constants.size())};
  constexpr size_t kWorthLookingFor = 64;  // the tables are large and never equal
  if (bytes.size() > kWorthLookingFor) {
    program_.constants.push_back({std::move(name), alignment, std::move(bytes)});
    return next;
  }
  const auto [entry, is_new] = known_constants_.try_emplace({alignment, bytes}, next);
  if (is_new) program_.constants.push_back({std::move(name), alignment, std::move(bytes)});
  return entry->second;
}

Vreg ProgramBuilder::broadcast_value(std::string name, uint32_t value) {
  return broadcast_32(at(constant(std::move(name), sizeof value, bytes_of(std::vector<uint32_t>{value}))));
}

Program ProgramBuilder::finish() {
  verify(program_);
  return std::move(program_);
}

}  // namespace mithral::codegen
