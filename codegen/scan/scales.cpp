#include "codegen/scan/scales.h"

namespace mithral::codegen {

std::vector<float> scale_pairs(const Tables& tables) {
  std::vector<float> pairs;
  pairs.reserve(2 * tables.n_outputs());
  for (int64_t m = 0; m < tables.n_outputs(); ++m) {
    pairs.push_back(tables.scale()[m]);
    pairs.push_back(tables.offset()[m]);
  }
  return pairs;
}

std::vector<float> scale_tiles(const Tables& tables, const RowTables& rows) {
  std::vector<float> values;
  rows.for_tiles([&](int64_t first, int outputs) {
    for (const std::vector<float>* of_outputs : {&tables.scale(), &tables.offset()}) {
      const auto begin = of_outputs->begin() + first;
      values.insert(values.end(), begin, begin + outputs);
      values.resize(values.size() + rows.bytes_of_entry(outputs) - outputs);
    }
  });
  return values;
}

}  // namespace mithral::codegen
