// Executor: codes that are given -> those of a chunk, in the layout that scans read (codegen/program/code_layout.h).
#include <algorithm>
#include <cstring>

#include "codegen/program/byte_blocks.h"
#include "runtime/execute.h"
#include "runtime/workspace.h"

namespace mithral {
namespace {

using codegen::CodeLayout;
using codegen::kByteBlock;

// Up to a block of rows is copied to `to`, row by row, `stride` bytes apart.
void copy_rows(MatrixView<const uint8_t> codes, uint8_t* to, int64_t stride) {
  if (codes.col_stride == 1) {
    for (int64_t row = 0; row < codes.rows; ++row) std::memcpy(to + row * stride, &codes(row, 0), codes.cols);
    return;
  }
  const bool columns = codes.row_stride == 1;  // sixteen of them at a time, as far as they go
  const int64_t rows = columns ? codes.rows / kByteBlock * kByteBlock : 0;
  const int64_t cols = columns ? codes.cols / kByteBlock * kByteBlock : 0;
  for (int64_t row = 0; row < rows; row += kByteBlock) {
    for (int64_t c = 0; c < cols; c += kByteBlock) {
      codegen::transpose_bytes([&](int i) { return &codes(row, c + i); },
                               [&](int i) { return to + (row + i) * stride + c; });
    }
  }
  for (int64_t c = 0; c < codes.cols; ++c) {
    for (int64_t row = c < cols ? rows : 0; row < codes.rows; ++row) to[row * stride + c] = codes(row, c);
  }
}

}  // namespace

void Executor::pack_chunk(Workspace& work, MatrixView<const uint8_t> codes) const {
  const int64_t block_rows = layout().block_rows(), stride = round_up(codes.cols, kByteBlock);
  uint8_t* rows = work.rows_scratch.at_least(block_rows * stride);
  for (int64_t row = 0; row < codes.rows; row += block_rows) {
    const int64_t count = std::min(block_rows, codes.rows - row);
    if (count < block_rows) std::fill_n(rows, block_rows * stride, uint8_t{0});  // any code will do behind the rows
    copy_rows(codes.row_range(row, count), rows, stride);
    pack_block(rows, stride, work.codes + row / block_rows * layout().block_bytes());
  }
}

// kFourRows: sixteen bytes of a codebook's vector are the codes of sixteen rows, the r-th of them in lane r / 4.
// kFourCodebooks: a lane is four codes of a row; those of codebooks that there are not are 0, whatever the rows hold.
void Executor::pack_block(const uint8_t* rows, int64_t stride, uint8_t* to) const {
  const CodeLayout& codes = layout();
  const int64_t vector_bytes = codes.vector_bytes(), n_codebooks = codes.n_codebooks;
  if (codes.packing == CodeLayout::Packing::kFourRows) {
    uint8_t spare[kByteBlock];
    for (int64_t segment = 0; segment < vector_bytes; segment += kByteBlock) {
      for (int64_t c = 0; c < n_codebooks; c += kByteBlock) {
        codegen::transpose_bytes(
            [&](int i) {
              const int64_t byte = segment + i, lane = byte / CodeLayout::kBytesOfLane;
              return rows + (byte % CodeLayout::kBytesOfLane * codes.lanes + lane) * stride + c;
            },
            [&](int i) { return c + i < n_codebooks ? to + (c + i) * vector_bytes + segment : spare; });
      }
    }
    return;
  }
  uint32_t biases = 0;
  for (int i = 0; i < CodeLayout::kBytesOfLane; ++i) biases |= static_cast<uint32_t>(codes.code_bias(i)) << (8 * i);
  for (int64_t c = 0; c < n_codebooks; c += CodeLayout::kBytesOfLane, to += vector_bytes) {
    const int64_t missing = std::max<int64_t>(c + CodeLayout::kBytesOfLane - n_codebooks, 0);
    const uint32_t kept = ~uint32_t{0} >> (8 * missing);
    for (int64_t row = 0; row < codes.lanes; ++row) {
      uint32_t lane = 0;
      std::memcpy(&lane, rows + row * stride + c, sizeof lane);
      lane = (lane & kept) | biases;
      std::memcpy(to + row * CodeLayout::kBytesOfLane, &lane, sizeof lane);
    }
  }
}

}  // namespace mithral
