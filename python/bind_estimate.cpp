#include "python/bind_estimate.h"

#include <optional>
#include <string>

#include "codegen/model/error.h"
#include "codegen/plan/estimate.h"
#include "codegen/plan/mixtures.h"
#include "codegen/program/target.h"
#include "python/arrays.h"
#include "python/initialised.h"
#include "runtime/host.h"

namespace mithral::python {

InputOrder input_order(const std::string& order) {
  if (order == "C") return InputOrder::kRowMajor;
  if (order == "F") return InputOrder::kColumnMajor;
  throw InvalidArgument(message("order is '", order, "'; allowed: 'C' (row-major rows) and 'F' (column-major)"));
}

namespace {

using namespace pybind11::literals;

ColumnPlaces places(const py::object& layout) {
  return word(layout, "layout") == "row" ? ColumnPlaces::kFewLines : ColumnPlaces::kAnywhere;
}

Target target_of_estimates() {
  const std::optional<Isa> isa = best_isa();
  return isa ? host_target(*isa) : target_for(all_isas().front());
}

// Kernel's seconds, then the exact product's.
py::tuple seconds(const ModelShape& shape, const py::object& n_rows, InputOrder order) {
  const TimeEstimate times = estimate(shape, integer(n_rows, "n_rows"), target_of_estimates(), order);
  return py::make_tuple(times.kernel, times.exact);
}

}  // namespace

void bind_estimate(py::module_& module) {
  module.def(
      "estimate",
      [](const py::object& model, const py::object& n_rows, const py::object& order) {
        const Model& estimated = model_from(model);
        if (estimated.has_given_codes()) {
          throw InvalidArgument("the model's codes come from the caller: there is no exact product to compare with");
        }
        return seconds(shape_of(estimated), n_rows, input_order(word(order, "order")));
      },
      "model"_a, "n_rows"_a, py::kw_only(), "order"_a, "See mithral.estimate.");
  module.def(
      "estimate_shape",
      [](const py::object& n_features, const py::object& n_outputs, const py::object& n_codebooks,
         const py::object& depth, const py::object& n_linear, const py::object& layout, const py::object& n_rows,
         const py::object& order) {
        const ModelShape shape = expected_shape(integer(n_features, "n_features"), integer(n_outputs, "n_outputs"),
                                                integer(n_codebooks, "n_codebooks"), integer(depth, "depth"),
                                                integer(n_linear, "n_linear"), places(layout));
        return seconds(shape, n_rows, input_order(word(order, "order")));
      },
      py::kw_only(), "n_features"_a, "n_outputs"_a, "n_codebooks"_a, "depth"_a, "n_linear"_a = 0, "layout"_a = "column",
      "n_rows"_a, "order"_a, "The same for a model that is not trained yet.");
  module.def(
      "estimate_latents",
      [](const py::object& n_features, const py::object& n_outputs, const py::object& n_latents,
         const py::object& layout, const py::object& n_rows, const py::object& order) {
        const int64_t d = integer(n_features, "n_features"), m = integer(n_outputs, "n_outputs"),
                      r = integer(n_latents, "n_latents");
        const InputOrder of_rows = input_order(word(order, "order"));
        const ModelShape shape = expected_shape_of_latents(
            d, m, r, dims_of_latents(d, m, r, 0, target_of_estimates(), of_rows), places(layout));
        return seconds(shape, n_rows, of_rows);
      },
      py::kw_only(), "n_features"_a, "n_outputs"_a, "n_latents"_a, "layout"_a, "n_rows"_a, "order"_a,
      "And for one whose outputs are all made of latents.");
}

}  // namespace mithral::python
