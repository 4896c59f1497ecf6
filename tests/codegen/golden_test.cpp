// Programs and listings of a few tiny models, as files: a change in generated code shows as a diff in review. To accept
// a change, run with MITHRAL_UPDATE_GOLDEN=1 and look at the diff.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "codegen/lower.h"
#include "jit/emit.h"
#include "tests/support/random.h"

namespace mithral {
namespace {

struct Golden {
  const char* name;
  testing::Shape shape;
  testing::Entries tables;
  bool every_isa;  // or only avx2: the simplest programs look much alike
};
constexpr Golden kGoldens[] = {
    {"one_codebook", {3, 1, 1, 1}, testing::Entries::kAny, false},
    {"byte_sums", {8, 3, 2, 2}, testing::Entries::kSmall, false},
    {"word_sums", {16, 9, 3, 3}, testing::Entries::kAny, false},
    {"mixed", {6, 17, 4, 4}, testing::Entries::kMixed, true},
    {"deep", {12, 2, 2, 6}, testing::Entries::kMixed, true},
};

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

TEST(Golden, ProgramsAndListings) {
  for (const Isa isa : all_isas()) {
    const Target target = target_for(isa);
    for (const Golden& golden : kGoldens) {
      if (!golden.every_isa && isa != Isa::kAvx2) continue;
      const Model model = testing::random_model(42, golden.shape, golden.tables);
      const codegen::LoweredModel lowered = codegen::lower(model, codegen::choose_schedule(model, target), target);
      std::string programs, listings;
      for (const codegen::Program& program : codegen::lower_routines(lowered)) {
        programs += codegen::print(program) + "\n";
        listings += jit::listing(program) + "\n";
      }
      const std::string stem = std::string(golden.name) + "." + isa_name(isa);
      expect_equals_file(stem + ".program", programs);
      expect_equals_file(stem + ".listing", listings);
    }
  }
}

}  // namespace
}  // namespace mithral
