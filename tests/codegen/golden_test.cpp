// Programs of all routines of one tiny model per ISA, and a listing of one of them, as files: a change in generated
// code shows as a diff in review. To accept a change, run with MITHRAL_UPDATE_GOLDEN=1 and look at the diff.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "codegen/lower.h"
#include "jit/emit.h"
#include "tests/support/random.h"

namespace mithral {
namespace {

void expect_equals_file(const std::string& name, const std::string& text) {
  const std::string path = std::string(MITHRAL_GOLDEN_DIR) + "/" + name;
  if (std::getenv("MITHRAL_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(path) << text;
    return;
  }
  std::ifstream file(path);
  ASSERT_TRUE(file) << path << " is missing; run with MITHRAL_UPDATE_GOLDEN=1 to write it";
  std::stringstream expected;
  expected << file.rdbuf();
  EXPECT_EQ(text, expected.str()) << name;
}

// One tree of two levels and two outputs: every routine has its whole shape, and little of it twice.
codegen::LoweredModel tiny_model(Isa isa, Activation activation) {
  const Target target = target_for(isa);
  const Model model = testing::random_model(42, {4, 2, 1, 2}, testing::Entries::kAny);
  codegen::Schedule schedule = codegen::choose_schedule(model, target);
  schedule.scan.table_blocks = schedule.call.chunk_blocks = 1;
  return codegen::lower(model, schedule, target, activation);
}

TEST(Golden, Programs) {
  for (const Isa isa : all_isas()) {
    std::string text;
    for (const codegen::Program& program : codegen::lower_routines(tiny_model(isa, Activation::kNone))) {
      text += print(program) + "\n";
    }
    expect_equals_file(std::string(isa_name(isa)) + ".program", text);
  }
}

TEST(Golden, Listing) {
  const codegen::RoutineId scan = {codegen::RoutineKind::kScanToColumns};
  expect_equals_file("avx2.listing",
                     jit::listing(codegen::lower_routine(scan, tiny_model(Isa::kAvx2, Activation::kRelu))));
}

}  // namespace
}  // namespace mithral
