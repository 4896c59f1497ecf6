#include "runtime/describe.h"

#include <cstdio>

#include "codegen/model/error.h"
#include "codegen/plan/cost_model.h"

namespace mithral {
namespace {

using codegen::CodeLayout;
using codegen::Schedule;

std::string nanoseconds(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%10.1f ns", seconds * 1e9);
  return text;
}

std::string line(const char* name, const std::string& what) {
  char start[32];
  std::snprintf(start, sizeof start, "  %-20s ", name);
  return start + what + "\n";
}

std::string codes(const Schedule& schedule) {
  const bool four_rows = schedule.codes.packing == CodeLayout::Packing::kFourRows;
  return message(four_rows ? "four rows to a lane" : "four codebooks to a lane", ", blocks of ",
                 schedule.codes.block_rows(), " rows");
}

std::string sums(const Model& model, const Schedule& schedule) {
  if (schedule.codes.packing == CodeLayout::Packing::kFourCodebooks) return "four codebooks an instruction, in 32 bits";
  const size_t groups = schedule.groups.size();
  if (groups == 1) return message("all ", model.n_codebooks(), " codebooks in bytes");
  return message("in bytes within ", groups, " groups of the ", model.n_codebooks(), " codebooks, then in 16 bits");
}

std::string linear_dims(const Model& model, const Executable& executable) {
  if (model.linear().empty()) return "";
  const codegen::LinearPlan& plan = executable.lowered.scan.linear;
  const bool dots = executable.lowered.target.has(Feature::kByteDots);
  const std::string how =
      dots ? "four an instruction, in 32 bits" : message(4 * plan.fours_in_words, " at a time in 16 bits, then in 32");
  std::string latents;
  if (const Model* inner = model.linear().latents().get()) {
    latents = line("latents", message(inner->n_outputs(), " outputs of 7 bits of a model with ", inner->n_codebooks(),
                                      " codebooks and ", inner->n_linear(), " linear dims"));
  }
  return line("linear dims", message(model.n_linear(), " columns of 7 bits, ", how)) + latents;
}

std::string row_major_outputs(const Model& model, const Schedule& schedule) {
  const int64_t from = schedule.accumulate.min_outputs;
  if (model.n_outputs() >= from) {
    return message("rows are accumulated, ", schedule.accumulate.tile_outputs,
                   " outputs of one at a time, as there are ", from, " outputs or more");
  }
  return message("many rows side by side, as there are fewer than ", from, " outputs; rows that fill no block are ",
                 "accumulated");
}

std::string without_effect(const Model& given, const Model& simplified) {
  const int64_t gone = given.n_codebooks() - simplified.n_codebooks();
  return gone == 0 ? "" : line("left out", message(gone, " codebooks that have no effect on outputs"));
}

std::string choices(const Executable& executable) {
  const Model& model = executable.model;
  const Runner& runner = *executable.runner;
  const Schedule& s = runner.schedule();
  std::string of_codebooks;
  if (model.n_codebooks() > 0) {
    of_codebooks = line("encoder", executable.lowered.encoder->words()) + line("codes", codes(s)) +
                   line("sums", sums(model, s)) +
                   line("tile of the scan", message(s.scan.table_blocks, " blocks share the load of a table"));
  }
  return line("columns read", message(runner.columns().size(), " of ", model.n_features())) + of_codebooks +
         linear_dims(model, executable) + line("row-major outputs", row_major_outputs(model, s)) +
         line("chunk", message(s.call.chunk_blocks * s.codes.block_rows(), " rows are encoded, then scanned")) +
         line("row-major input",
              message(s.stage.rows, " rows are staged at a time; ",
                      s.stage.prefetch_rows == 0 ? "none" : message(s.stage.prefetch_rows), " are prefetched")) +
         line("stores past caches",
              runner.streams() ? message("for calls that touch ", s.call.stream_bytes >> 20, " MiB or more") : "never");
}

std::string candidates(const Tuning& tuning) {
  std::string text = tuning.n_rows == 0 ? "schedules (expected time of a row, row-major in and out; * is chosen by "
                                          "rules; none was measured: see compile's tune):\n"
                                        : message("schedules (time of a row, row-major in and out; measured on ",
                                                  tuning.n_rows, " made-up rows, one thread):\n");
  for (size_t i = 0; i < tuning.candidates.size(); ++i) {
    const MeasuredCandidate& c = tuning.candidates[i];
    text += message(i == tuning.chosen ? "* " : "  ", "expected", nanoseconds(c.candidate.row_seconds), ", measured ",
                    c.row_seconds ? nanoseconds(*c.row_seconds) : "            -", "  ", c.candidate.name, "\n");
  }
  for (const codegen::RefusedCandidate& r : tuning.refused)
    text += message("  refused: ", r.name, ": ", r.reason, "\n");
  return text;
}

// What a call takes; given codes have no exact product.
std::string times(const Executable& simplified) {
  constexpr int64_t kRows = 10000;
  const Model& model = simplified.model;
  const Target& target = simplified.lowered.target;
  const codegen::Work work = codegen::work_of(model, simplified.runner->schedule(), target);
  const auto microseconds = [](double seconds) { return message(static_cast<int64_t>(seconds * 1e6 + 1), " us"); };
  const double seconds = codegen::call_seconds(work, kRows, target, InputOrder::kRowMajor);
  const std::string kernel = message(kRows, " row-major rows: about ", microseconds(seconds));
  if (simplified.lowered.encoder->is_given()) return kernel + "\n";
  const double exact = codegen::exact_seconds(model.n_features(), model.n_outputs(), kRows, target);
  return message(kernel, ", the exact product about ", microseconds(exact),
                 exact < seconds ? ": use the exact product\n" : "\n");
}

}  // namespace

std::string describe(const Model& given, const Executable& simplified, const std::optional<Tuning>& tuning) {
  return without_effect(given, simplified.model) + choices(simplified) + (tuning ? candidates(*tuning) : "") +
         times(simplified);
}

}  // namespace mithral
