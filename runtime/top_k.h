// The k largest values of each of many rows, whose values arrive column by column, some outputs at a time.
#pragma once

#include <cstdint>
#include <vector>

#include "codegen/model/matrix_view.h"

namespace mithral {

// The place of the largest of one value or more, the first of several. No value is NaN.
int64_t first_largest(const float* values, int64_t count);

class TopK {
 public:
  static constexpr int64_t kMax = 64;         // of k
  static constexpr int64_t kRowsAtOnce = 16;  // counts of rows are multiples of this
  static constexpr int64_t kMostRows = 1024;  // that are worth keeping in cache together

  // All is forgotten; of `rows` rows the k largest values are wanted.
  void begin(int64_t rows, int64_t k);

  // Of `rows` rows from `first_row` on the values of `outputs` outputs from `first_output` on: those of one output are
  // together, those of the next `column` floats further on. No value is NaN; outputs rise from call to call.
  void take(const float* scores, int64_t column, int64_t first_row, int64_t rows, int64_t first_output,
            int64_t outputs);

  // The same of all outputs of one row, whose values are together.
  void take_row(const float* scores, int64_t row, int64_t outputs);

  // The first rows' k largest values and their outputs, falling; of equal values the lower output first. A value is the
  // output's own, to the sign of a zero.
  void finish(MatrixView<float> values, MatrixView<int64_t> indices);

 private:
  // One number for a value and its output: the larger key is the larger value or, of equal ones, the lower output.
  using Key = uint64_t;
  static Key key_of(float value, int64_t output);
  static float value_of(Key key);
  static int64_t output_of(Key key);

  void find_limits(const float* scores, int64_t column, int64_t first_row, int64_t outputs);
  void append(int64_t row, float value, int64_t output);
  void keep_largest(int64_t row);
  Key* keys_of(int64_t row) { return &keys_[row * capacity_]; }

  int64_t k_ = 0, capacity_ = 0;
  // Of every row: what no later value may be below or equal to, NaN while there is no such limit; candidates.
  std::vector<float> limits_;
  std::vector<int64_t> counts_;
  std::vector<Key> keys_;
};

}  // namespace mithral
