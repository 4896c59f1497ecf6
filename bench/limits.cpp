#include "bench/limits.h"

#include <benchmark/benchmark.h>
#include <emmintrin.h>

#include <vector>

#include "bench/problem.h"
#include "codegen/program/program_builder.h"
#include "jit/compiled_routines.h"
#include "runtime/host.h"

namespace mithral::bench {
namespace {

using codegen::at;
using codegen::Preg;
using codegen::Program;
using codegen::ProgramBuilder;
using codegen::Vreg;

// In L1 for the first, in memory for the last, whatever the CPU.
constexpr int64_t kBufferBytes[] = {1 << 14, 1 << 16, 1 << 18, 1 << 20, 1 << 22, 1 << 24, 1 << 26, 1 << 28};
constexpr int kUnrolled = 16;  // operations of a round
constexpr int64_t kRounds = 4096;

// Each program is void(memory, rounds) and applies kUnrolled operations a round.
Program read_program(const Target& target) {
  ProgramBuilder b("read", target, {"memory", "rounds"});
  const Preg from = b.copy(b.arg(0));
  b.repeat(b.arg(1), [&] {
    for (int i = 0; i < kUnrolled; ++i) b.load(at(from, i * target.vector_bytes));
    b.advance(from, kUnrolled * target.vector_bytes);
  });
  return b.finish();
}

Program write_program(const Target& target) {
  ProgramBuilder b("write", target, {"memory", "rounds"});
  const Preg to = b.copy(b.arg(0));
  const Vreg value = b.zero();
  b.repeat(b.arg(1), [&] {
    for (int i = 0; i < kUnrolled; ++i) b.store(at(to, i * target.vector_bytes), value);
    b.advance(to, kUnrolled * target.vector_bytes);
  });
  return b.finish();
}

Program lookup_16_program(const Target& target) {
  ProgramBuilder b("lookup_16", target, {"memory", "rounds"});
  const Preg codes = b.arg(0);
  const Vreg table = b.broadcast_128(at(codes));
  b.repeat(b.arg(1), [&] {
    for (int i = 0; i < kUnrolled; ++i) b.lookup_16(table, at(codes, i * target.vector_bytes));
  });
  return b.finish();
}

Program lookup_64_program(const Target& target) {
  ProgramBuilder b("lookup_64", target, {"memory", "rounds"});
  const Preg codes = b.arg(0);
  const Vreg table = b.load(at(codes));
  b.repeat(b.arg(1), [&] {
    for (int i = 0; i < kUnrolled; ++i) b.lookup_64(table, b.load(at(codes, i * target.vector_bytes)));
  });
  return b.finish();
}

Program dot_program(const Target& target) {
  ProgramBuilder b("dot", target, {"memory", "rounds"});
  const Preg dims = b.arg(0);
  const Vreg weights = b.load(at(dims)), vector = b.load(at(dims));
  const int n_sums =
      target.n_vector_regs > kUnrolled ? kUnrolled : kUnrolled / 2;  // so that few wait for the one before
  std::vector<Vreg> sums;
  for (int i = 0; i < n_sums; ++i) sums.push_back(b.zero());
  b.repeat(b.arg(1), [&] {
    for (int i = 0; i < kUnrolled; ++i) {
      const Vreg sum = sums[i % n_sums];
      if (target.has(Feature::kByteDots)) {
        b.dot_u8_to(sum, sum, vector, weights);
      } else {
        b.add_u32_to(sum, sum, b.dot_i16(b.dot_u8_u16(vector, weights), weights));
      }
    }
  });
  return b.finish();
}

// A level of a tree without the choice of a threshold, as lower_encode.cpp writes it.
Program descend_program(const Target& target) {
  ProgramBuilder b("descend", target, {"memory", "rounds"});
  const Preg columns = b.arg(0);
  const Vreg node = b.load(at(columns)), threshold = b.load(at(columns)), one = b.load(at(columns));
  const Vreg child = b.zero();
  b.repeat(b.arg(1), [&] {
    for (int i = 0; i < kUnrolled; ++i) {
      const codegen::Mem column = at(columns, i * target.vector_bytes);
      if (target.has(Feature::kMasks)) {
        b.descend_to(child, node, threshold, one, column);
      } else {
        b.add_u32_to(child, b.add_u32(node, node), b.less_f32(threshold, column));
      }
    }
  });
  return b.finish();
}

// One thing after another, from the buffer's start. `items` of one operation: what it is a rate of.
void bench_program(benchmark::State& state, Program (*make)(const Target&), Isa isa, int64_t buffer_bytes,
                   int64_t rounds, int64_t items) {
  const Program programs[] = {make(host_target(isa))};
  const jit::CompiledRoutines routines(programs);
  const Buffer buffer(buffer_bytes);
  const int64_t args[] = {static_cast<int64_t>(reinterpret_cast<uintptr_t>(buffer.as<uint8_t>())), rounds};
  for (auto _ : state) routines.function(0)(args);
  state.counters["per_second"] = benchmark::Counter(static_cast<double>(rounds * kUnrolled * items),
                                                    benchmark::Counter::kIsIterationInvariantRate);
}

void bench_write_nt(benchmark::State& state, int64_t bytes) {
  const Buffer buffer(bytes);
  const __m128i value = _mm_setzero_si128();
  for (auto _ : state) {
    auto* to = buffer.as<__m128i>();
    for (auto* const end = to + bytes / 16; to != end; to += 4) {
      for (int i = 0; i < 4; ++i) _mm_stream_si128(to + i, value);
    }
    _mm_sfence();
  }
  state.counters["per_second"] =
      benchmark::Counter(static_cast<double>(bytes), benchmark::Counter::kIsIterationInvariantRate);
}

template <typename... Args>
void add(const std::string& name, Args... args) {
  benchmark::RegisterBenchmark(name.c_str(), args...)->Unit(benchmark::kMicrosecond);
}

}  // namespace

void register_limits(const std::string& prefix) {
  const Isa best = *best_isa();
  const int64_t vector_bytes = host_target(best).vector_bytes;
  for (const int64_t bytes : kBufferBytes) {
    const std::string size = std::to_string(bytes);
    const int64_t rounds = bytes / (kUnrolled * vector_bytes);
    add(prefix + "read/" + size, bench_program, read_program, best, bytes, rounds, vector_bytes);
    add(prefix + "write/" + size, bench_program, write_program, best, bytes, rounds, vector_bytes);
    add(prefix + "write_nt/" + size, bench_write_nt, bytes);
  }
  for (const Isa isa : host().runnable) {
    const std::string of_isa = std::string("/") + isa_name(isa);
    const Target target = host_target(isa);
    const int64_t bytes = int64_t{kUnrolled} * target.vector_bytes;
    add(prefix + "lookup_16" + of_isa, bench_program, lookup_16_program, isa, bytes, kRounds, target.vector_bytes);
    if (target.has(Feature::kByteTables)) {
      add(prefix + "lookup_64" + of_isa, bench_program, lookup_64_program, isa, bytes, kRounds, target.vector_bytes);
    }
    add(prefix + "dot" + of_isa, bench_program, dot_program, isa, bytes, kRounds, target.vector_bytes);
    add(prefix + "descend" + of_isa, bench_program, descend_program, isa, bytes, kRounds, target.lanes());
  }
}

}  // namespace mithral::bench
