// Trains a small model, compiles it, calls it, and compares with the reference, through the installed package only.
#include <mithral/mithral.h>

#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

int main() {
  constexpr int64_t kRows = 500, kFeatures = 24, kOutputs = 5;
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  std::vector<float> a(kRows * kFeatures), b(kFeatures * kOutputs);
  for (float& value : a) value = normal(random);
  for (float& value : b) value = normal(random);
  const auto x = mithral::row_major<const float>(a.data(), kRows, kFeatures);

  const mithral::Model model =
      mithral::train(x, mithral::row_major<const float>(b.data(), kFeatures, kOutputs), {.n_codebooks = 4});
  const mithral::Kernel kernel = mithral::compile(model, {.backend = mithral::Backend::kInterpreter});

  std::vector<float> y(kRows * kOutputs), expected(kRows * kOutputs);
  kernel(x, mithral::row_major(y.data(), kRows, kOutputs));
  mithral::reference(model, x, mithral::row_major(expected.data(), kRows, kOutputs));
  const bool equal = std::memcmp(y.data(), expected.data(), y.size() * sizeof(float)) == 0;
  std::printf("%s: %s\n", mithral::backend_name(kernel.backend()), equal ? "equal to the reference" : "WRONG");
  return equal ? 0 : 1;
}
