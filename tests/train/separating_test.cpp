// Trees that tell all distinct rows apart.
#include "train/trees/separating_tree.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <random>
#include <set>
#include <vector>

namespace mithral::train_internal {
namespace {

std::optional<BinnedTree> find(const MatrixF& rows, int depth) {
  std::vector<int32_t> candidates(rows.cols());
  std::iota(candidates.begin(), candidates.end(), 0);
  return find_separating_tree(bin_columns(rows, 1), candidates, depth);
}

using Row = std::vector<float>;

Row row_of(const MatrixF& rows, int64_t i) { return {rows.row(i).begin(), rows.row(i).end()}; }

bool separates(const BinnedTree& tree, const MatrixF& rows) {
  const std::vector<uint8_t> leaves = encode(to_hash_tree(tree, bin_columns(rows, 1)), rows);
  std::map<uint8_t, Row> row_in_leaf;
  for (int64_t i = 0; i < rows.rows(); ++i) {
    const Row row = row_of(rows, i);
    if (row_in_leaf.emplace(leaves[i], row).first->second != row) return false;
  }
  return true;
}

void expect_separated(const MatrixF& rows, int depth) {
  const std::optional<BinnedTree> tree = find(rows, depth);
  ASSERT_TRUE(tree);
  ASSERT_EQ(tree->depth(), depth);
  EXPECT_TRUE(separates(*tree, rows));
}

TEST(SeparatingTree, TellsRandomPrototypesApart) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    for (int width = 1; width <= 5; ++width) {
      for (const int count : {16, 11, 1}) {
        SCOPED_TRACE(testing::Message() << "seed " << seed << " width " << width << " prototypes " << count);
        std::mt19937 random(seed);
        std::normal_distribution<float> normal;
        MatrixF prototypes(count, width), rows(400, width);
        for (float& value : prototypes.reshaped()) value = normal(random);
        for (int i = 0; i < 400; ++i) rows.row(i) = prototypes.row(static_cast<int64_t>(random() % count));
        expect_separated(rows, 4);
      }
    }
  }
}

TEST(SeparatingTree, TellsIntegersOfOneColumnApart) {
  for (const int depth : {1, 2, 3, 4}) {
    for (int count = 1; count <= 1 << depth; ++count) {
      SCOPED_TRACE(testing::Message() << count << " integers, depth " << depth);
      MatrixF rows(200, 1);
      for (int i = 0; i < 200; ++i) rows(i, 0) = static_cast<float>(i * i % 200 % count);  // not equally often
      rows.topRows(count).col(0).setLinSpaced(0, static_cast<float>(count - 1));
      expect_separated(rows, depth);
    }
  }
}

TEST(SeparatingTree, TakesEveryColumnOfACube) {
  // Only the four binary columns, in any order, will do; the others are constant or cut the wrong way.
  MatrixF rows(16, 9);
  for (int i = 0; i < 16; ++i) {
    for (int j = 0; j < 9; ++j) rows(i, j) = j % 2 == 0 ? 3 : static_cast<float>(i >> (j / 2) & 1);
    rows(i, 0) = i == 5 ? 1 : 0;
  }
  expect_separated(rows, 4);
}

// Whether any sequence of columns and any cuts at all lead the points of every node to leaves of their own.
bool can_separate(const MatrixF& rows, const std::vector<std::vector<int>>& nodes, int levels);

// All ways to cut nodes [first, ..) on a column; those before it have been cut to `children`.
bool can_cut(const MatrixF& rows, const std::vector<std::vector<int>>& nodes, size_t first, int column, int levels,
             const std::vector<std::vector<int>>& children) {
  if (first == nodes.size()) return can_separate(rows, children, levels - 1);
  for (const float threshold : {0.f, 1.f, 2.f}) {  // values are 0, 1 and 2: above 2 nothing goes right
    std::vector<std::vector<int>> next = children;
    next.resize(children.size() + 2);
    for (const int i : nodes[first]) next[children.size() + (rows(i, column) > threshold ? 1 : 0)].push_back(i);
    if (can_cut(rows, nodes, first + 1, column, levels, next)) return true;
  }
  return false;
}

bool can_separate(const MatrixF& rows, const std::vector<std::vector<int>>& nodes, int levels) {
  if (levels == 0) return std::all_of(nodes.begin(), nodes.end(), [](const auto& node) { return node.size() <= 1; });
  for (int column = 0; column < rows.cols(); ++column) {
    if (can_cut(rows, nodes, 0, column, levels, {})) return true;
  }
  return false;
}

TEST(SeparatingTree, IsFoundWheneverAFullOneExists) {
  int n_found = 0, n_missing = 0;
  for (unsigned seed = 0; seed < 300; ++seed) {
    std::mt19937 random(seed);
    MatrixF rows(4, 3);
    std::set<Row> distinct;
    for (int i = 0; i < 4;) {
      for (int j = 0; j < 3; ++j) rows(i, j) = random() % 3 == 0 ? static_cast<float>(random() % 3) : 1.f;
      if (distinct.insert(row_of(rows, i)).second) ++i;
    }
    const std::optional<BinnedTree> tree = find(rows, 2);
    const bool exists = can_separate(rows, {{0, 1, 2, 3}}, 2);
    EXPECT_EQ(tree.has_value(), exists) << rows;
    EXPECT_TRUE(!tree || separates(*tree, rows)) << rows;
    ++(exists ? n_found : n_missing);
  }
  EXPECT_GT(n_found, 20);
  EXPECT_GT(n_missing, 20);
}

TEST(SeparatingTree, RefusesWhatItCannotTellApart) {
  EXPECT_FALSE(find(MatrixF::Identity(16, 16), 4)) << "each column takes one row off";

  MatrixF seventeen(17, 1);
  seventeen.col(0).setLinSpaced(0, 16);
  EXPECT_FALSE(find(seventeen, 4));
  EXPECT_FALSE(find(seventeen.topRows(9), 3));
  EXPECT_TRUE(find(seventeen.topRows(8), 3));

  // Bins merge values here, so equal bins do not mean equal rows.
  MatrixF many(4000, 1);
  many.col(0).setLinSpaced(0, 1);
  EXPECT_FALSE(find(many, 4));
}

TEST(SeparatingTree, BytesAreToldApartAndMergedValuesAreNot) {
  MatrixF rows(3000, 2);
  for (int i = 0; i < rows.rows(); ++i) rows.row(i) << static_cast<float>(i % 256), static_cast<float>(i % 1000);
  const BinnedColumns columns = bin_columns(rows, 1);
  EXPECT_TRUE(find_separating_tree(columns, std::vector<int32_t>{0}, 8).has_value());
  EXPECT_FALSE(find_separating_tree(columns, std::vector<int32_t>{0}, 7).has_value());
  EXPECT_FALSE(find_separating_tree(columns, std::vector<int32_t>{1}, 8).has_value()) << "128 bins hold 1000 values";
}

TEST(SeparatingTree, OnlyCandidatesCount) {
  MatrixF rows(300, 2);
  for (int i = 0; i < 300; ++i) rows.row(i) << static_cast<float>(i), static_cast<float>(i % 16);
  const std::optional<BinnedTree> tree = find_separating_tree(bin_columns(rows, 1), std::vector<int32_t>{1}, 4);
  ASSERT_TRUE(tree);
  EXPECT_EQ(tree->split_dims, (std::vector<int32_t>{1, 1, 1, 1}));
}

TEST(SeparatingTree, GivesUpInBoundedTime) {
  // Every column but the first halves the rows, so that there are 400^3 ways down; but rows 0 and 1 differ in the first
  // column alone, which no level can use. Without a limit this test would not end.
  std::mt19937 random(5);
  MatrixF rows(16, 401);
  std::vector<float> halves(16);
  for (int i = 0; i < 16; ++i) halves[i] = static_cast<float>(i % 2);
  for (int j = 1; j < rows.cols(); ++j) {
    do {
      std::shuffle(halves.begin(), halves.end(), random);
    } while (halves[0] != halves[1]);
    for (int i = 0; i < 16; ++i) rows(i, j) = halves[i];
  }
  rows.col(0).setZero();
  rows(0, 0) = 1;
  EXPECT_FALSE(find(rows, 4));
}

}  // namespace
}  // namespace mithral::train_internal
