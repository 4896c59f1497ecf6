// mithral._core: the C++ library for Python. Whatever can be checked by the core is left to it.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <string>
#include <tuple>
#include <vector>

#include "codegen/model/error.h"
#include "codegen/plan/mixtures.h"
#include "codegen/program/target.h"
#include "python/arrays.h"
#include "python/bind_estimate.h"
#include "python/bind_model.h"
#include "python/initialised.h"
#include "python/released_gil.h"
#include "runtime/host.h"
#include "runtime/kernel.h"
#include "train/train.h"

namespace mithral::python {
namespace {

using namespace pybind11::literals;

// What train takes, read from Python.
struct TrainArguments {
  InputMatrix a, b;
  std::vector<float> bias;
  TrainOptions options;
  std::optional<Isa> target;  // of a budget
};

// What a budget allows on a target: of it only the name counts, so that the same model is learned wherever it is given.
auto mixtures(const TrainArguments& arguments, int64_t budget, InputOrder order) {
  return
      [budget, n_features = arguments.a.view.cols, n_outputs = arguments.b.view.cols, depth = arguments.options.depth,
       target = target_for(*arguments.target), order](const std::optional<TreesRead>& trees) {
        return mixtures_within(budget, n_features, n_outputs, depth, target, order, trees);
      };
}

TrainArguments train_arguments(const py::object& a, const py::object& b, const py::object& bias,
                               const py::dict& given) {
  TrainArguments arguments{input_matrix(a, "A", "(n, D)", Beyond::kRefused),
                           input_matrix(b, "B", "(D, M)", Beyond::kRefused),
                           bias.is_none() ? std::vector<float>() : input_vector(bias, "bias", "(M,)"),
                           {}};
  const auto n_offsets = static_cast<int64_t>(arguments.bias.size());
  const bool shapes_fit = arguments.a.view.cols == arguments.b.view.rows;  // if not, that is what the core will say
  if (!bias.is_none() && shapes_fit && n_offsets != arguments.b.view.cols) {
    throw py::value_error(message("bias has shape (", n_offsets, ",); expected (", arguments.b.view.cols,
                                  ",), one value for each column of B"));
  }
  TrainOptions& options = arguments.options;
  options.depth = integer(given["depth"], "depth");
  const InputOrder order = input_order(word(given["order"], "order"));
  const Isa target = given["target"].is_none() ? best_isa().value_or(all_isas().front())
                                               : isa_from_name(word(given["target"], "target"));
  if (given["budget"].is_none()) {
    options.n_codebooks = integer(given["n_codebooks"], "n_codebooks");
    options.n_linear = integer(given["n_linear"], "n_linear");
    options.n_latents = integer(given["n_latents"], "n_latents");
    const int64_t n_features = arguments.b.view.rows, n_outputs = arguments.b.view.cols;
    if (options.n_latents > 0 && options.n_latents <= std::min(n_features, n_outputs) && options.n_linear >= 0) {
      options.latent_dims =
          dims_of_latents(n_features, n_outputs, options.n_latents, options.n_linear, target_for(target), order);
    }
  } else if (shapes_fit && arguments.b.view.rows > 0 && arguments.b.view.cols > 0) {
    arguments.target = target;
    options.mixtures = mixtures(arguments, integer(given["budget"], "budget"), order);
  }
  options.objective = word(given["objective"], "objective");
  options.layout = word(given["layout"], "layout");
  options.rounding_tolerance = real(given["rounding_tolerance"], "rounding_tolerance");
  options.seed = static_cast<uint64_t>(integer(given["seed"], "seed", 0));
  options.n_threads = integer(given["threads"], "threads");
  return arguments;
}

Model train_model(const py::object& a, const py::object& b, const py::object& bias, const py::dict& given,
                  const py::object& progress) {
  TrainArguments arguments = train_arguments(a, b, bias, given);
  arguments.options.progress = [&progress](int64_t done, int64_t total) {
    const py::gil_scoped_acquire acquire;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();  // Ctrl-C
    if (!progress.is_none()) progress(done, total);
  };
  const ReleasedGil released;
  Model model = train(arguments.a.view, arguments.b.view, arguments.bias, arguments.options);
  if (!arguments.target) return model;
  Report report = model.report();
  report["target"] = static_cast<double>(*arguments.target);
  return model.with_report(std::move(report));
}

void check_train(const py::object& a, const py::object& b, const py::object& bias, const py::dict& given) {
  const TrainArguments arguments = train_arguments(a, b, bias, given);
  const ReleasedGil released;
  check_train_arguments(arguments.a.view, arguments.b.view, arguments.bias, arguments.options);
}

Kernel compile_model(const py::object& object, const py::object& isa, const py::object& backend,
                     const py::object& threads, const py::object& bias, const py::object& activation,
                     const py::object& tune) {
  const Model& model = model_from(object);
  CompileOptions options;
  if (!isa.is_none()) options.isa = isa_from_name(word(isa, "isa"));
  if (!backend.is_none()) options.backend = backend_from_name(word(backend, "backend"));
  if (!threads.is_none()) options.threads = integer(threads, "threads");
  if (!activation.is_none()) options.activation = activation_from_name(word(activation, "activation"));
  if (!tune.is_none()) options.tune = tune_from_name(word(tune, "tune"));
  if (bias.is_none()) {
    const ReleasedGil released;
    return compile(model, options);
  }
  const std::vector<float> values = input_vector(bias, "bias", "(M,)");
  const ReleasedGil released;
  return compile(model.with_bias(values), options);
}

// Calls of a kernel, of rows and of codes: `input.view` goes to `compute(view, y...)`.
template <typename T, typename Input, typename Compute>
py::object outputs(const Kernel& kernel, const Input& input, const py::object& out, Compute&& compute) {
  const int64_t n_outputs = kernel.model().n_outputs();
  py::object result = out;
  MatrixView<T> view;
  if (out.is_none()) {
    std::tie(result, view) = new_matrix<T>(input.view.rows, n_outputs);
  } else {
    view = output_matrix<T>(out, input.view.rows, n_outputs);
  }
  {
    const ReleasedGil released;
    compute(input.view, view);
  }
  return result;
}

template <typename Input, typename Compute>
py::object indices(const Input& input, const py::object& out, Compute&& compute) {
  py::object result = out.is_none() ? py::array_t<int64_t>(input.view.rows) : out;
  const MatrixView<int64_t> view = output_vector<int64_t>(result, input.view.rows);
  {
    const ReleasedGil released;
    compute(input.view, view);
  }
  return result;
}

template <typename Input, typename Compute>
py::tuple largest(const Kernel& kernel, const Input& input, const py::object& number, Compute&& compute) {
  const int64_t k = integer(number, "k");
  check_range("k", k, 1, std::min(Kernel::kMaxTopK, kernel.model().n_outputs()));
  auto [values, values_view] = new_matrix<float>(input.view.rows, k);
  auto [which, which_view] = new_matrix<int64_t>(input.view.rows, k);
  {
    const ReleasedGil released;
    compute(input.view, values_view, which_view);
  }
  return py::make_tuple(values, which);
}

py::object call(const Kernel& kernel, const py::object& x, const py::object& out) {
  const InputRows rows = input_rows(x, kernel.model());
  return outputs<float>(kernel, rows, out, [&](auto view, auto y) { kernel(view, y); });
}
py::object sums(const Kernel& kernel, const py::object& x, const py::object& out) {
  const InputRows rows = input_rows(x, kernel.model());
  return outputs<int32_t>(kernel, rows, out, [&](auto view, auto y) { kernel.sums(view, y); });
}
py::object argmax(const Kernel& kernel, const py::object& x, const py::object& out) {
  return indices(input_rows(x, kernel.model()), out, [&](auto view, auto which) { kernel.argmax(view, which); });
}
py::tuple top_k(const Kernel& kernel, const py::object& x, const py::object& k) {
  return largest(kernel, input_rows(x, kernel.model()), k,
                 [&](auto view, auto values, auto which) { kernel.top_k(view, values, which); });
}

py::object scan(const Kernel& kernel, const py::object& codes, const py::object& out) {
  const InputCodes given = input_codes(codes, kernel.model());
  return outputs<float>(kernel, given, out, [&](auto view, auto y) { kernel.scan(view, y); });
}
py::object scan_sums(const Kernel& kernel, const py::object& codes, const py::object& out) {
  const InputCodes given = input_codes(codes, kernel.model());
  return outputs<int32_t>(kernel, given, out, [&](auto view, auto y) { kernel.scan_sums(view, y); });
}
py::object scan_argmax(const Kernel& kernel, const py::object& codes, const py::object& out) {
  return indices(input_codes(codes, kernel.model()), out,
                 [&](auto view, auto which) { kernel.scan_argmax(view, which); });
}
py::tuple scan_top_k(const Kernel& kernel, const py::object& codes, const py::object& k) {
  return largest(kernel, input_codes(codes, kernel.model()), k,
                 [&](auto view, auto values, auto which) { kernel.scan_top_k(view, values, which); });
}

py::array encode(const Kernel& kernel, const py::object& x) {
  const InputRows input = input_rows(x, kernel.model());
  auto [codes, view] = new_matrix<uint8_t>(input.view.rows, kernel.model().n_codebooks());
  {
    const ReleasedGil released;
    kernel.encode(input.view, view);
  }
  return codes;
}

std::vector<std::string> isa_names(const std::vector<Isa>& isas) {
  std::vector<std::string> names;
  for (const Isa isa : isas) names.emplace_back(isa_name(isa));
  return names;
}

py::dict host_dict() {
  const Host& cpu = host();
  return py::dict("vendor"_a = cpu.vendor, "brand"_a = cpu.brand, "microarchitecture"_a = cpu.microarchitecture,
                  "features"_a = cpu.features, "isas"_a = isa_names(cpu.runnable));
}

std::string describe_kernel(const Kernel& kernel) {
  return message("<mithral.Kernel: ", describe(kernel.model()), "; ", backend_name(kernel.backend()), ", ",
                 isa_name(kernel.isa()), ", threads=", kernel.threads(),
                 kernel.activation() == Activation::kNone ? "" : message(", ", activation_name(kernel.activation())),
                 ", ", kernel.code_size(), " bytes of code>");
}

void bind_kernel(py::module_& module) {
  py::class_<Kernel>(module, "Kernel", R"(A model compiled for this CPU; mithral.compile makes one. Thread-safe.

kernel(X, out=None) approximates activation(X @ B + bias):
    X: (N, D), a NumPy array or an object with __array__ or the buffer protocol. float32,
        float16, bfloat16 (of ml_dtypes), int8, uint8 and int16 are read where they lie, with any strides, and mean what
        they mean in float32; other real dtypes are converted to float32 first.
    out: None, or a float32 ndarray (N, M) to write to, with any strides of whole, aligned elements; it may overlap X.
    Returns float32 (N, M): out, or a new array in C order.
    Raises ValueError for a shape or dtype that does not fit (nothing is written then) and TypeError for what is not an
    array, lists included. NaN compares false with every threshold.)")
      .def("__call__", &call, "X"_a, "out"_a = py::none(),
           "float32 (N, M), the approximation of activation(X @ B + bias).")
      .def("sums", &sums, "X"_a, "out"_a = py::none(), R"(int32 (N, M), the integer sums of table entries.

kernel(X), before its activation, is sums.astype(np.float32) * model.scale + model.offset. X and out as in a call, but out is int32.)")
      .def("argmax", &argmax, "X"_a, "out"_a = py::none(),
           R"(intp (N,), for each row the first output with the largest value.

What kernel(X).argmax(axis=1) would be, without writing the values anywhere. They are never NaN: sums, scales and offsets are
finite, and adding a finite offset to an infinite product gives no NaN. X as in a call; out: None, or an intp ndarray (N,) to
write to, with any stride; it may overlap X.)")
      .def("topk", &top_k, "X"_a, "k"_a,
           R"((values, indices): of each row the k largest values and which outputs they are.

values: float32 (N, k), falling, the outputs' own bits. indices: intp (N, k); of equal values, -0 and +0 among them, the lower
index comes first. k: 1 to min(64, M). X as in a call; not all N x M values are ever in memory.)")
      .def("encode", &encode, "X"_a, "The codes of the rows of X (N, D): uint8 (N, C).")
      .def("scan", &scan, "codes"_a, "out"_a = py::none(),
           R"(float32 (N, M), what kernel(X) gives for rows with these codes.

codes: uint8 (N, C), any strides, each below K (model.n_entries): kernel.encode(X), or codes from elsewhere. Raises ValueError for a
code that is K or more: the message names row, codebook and value, and nothing is written. out as in a call.)")
      .def("scan_sums", &scan_sums, "codes"_a, "out"_a = py::none(),
           "int32 (N, M), as kernel.sums, from codes as in scan.")
      .def("scan_argmax", &scan_argmax, "codes"_a, "out"_a = py::none(),
           "intp (N,), as kernel.argmax, from codes as in scan.")
      .def("scan_topk", &scan_top_k, "codes"_a, "k"_a, "(values, indices), as kernel.topk, from codes as in scan.")
      .def("describe", &Kernel::describe,
           "What was chosen for this kernel, what was refused and why, and expected and measured times, as text.")
      .def("program", &Kernel::program, "The vector operations, as text.")
      .def("listing", &Kernel::listing, "The machine code, annotated with the operations it came from.")
      .def_property_readonly("model", &Kernel::model, py::return_value_policy::copy, "The model it was compiled from.")
      .def_property_readonly(
          "isa", [](const Kernel& kernel) { return isa_name(kernel.isa()); }, "The ISA of the code, like \"avx2\".")
      .def_property_readonly(
          "backend", [](const Kernel& kernel) { return backend_name(kernel.backend()); },
          "\"jit\", \"generic\" or \"interpreter\".")
      .def_property_readonly(
          "activation",
          [](const Kernel& kernel) -> py::object {
            if (kernel.activation() == Activation::kNone) return py::none();
            return py::str(activation_name(kernel.activation()));
          },
          "None or \"relu\": what is applied to float32 outputs.")
      .def_property_readonly("threads", &Kernel::threads, "How many threads a call may use.")
      .def_property_readonly("code_size", &Kernel::code_size,
                             "Bytes of machine code and its constants, made so far; 0 for other backends than \"jit\".")
      .def_property_readonly("table_size", &Kernel::table_size,
                             "Bytes of tables laid out so far, by this kernel or by others that share them.")
      .def("__repr__", &describe_kernel)
      .def("__reduce__", [](const Kernel&) -> py::object {
        throw py::type_error(
            "a kernel is code for this process and cannot be copied or pickled; "
            "pickle kernel.model and compile it where it is needed");
      });
}

}  // namespace
}  // namespace mithral::python

PYBIND11_MODULE(_core, module) {
  using namespace mithral;
  using namespace mithral::python;
  using namespace pybind11::literals;

  module.attr("__version__") = MITHRAL_VERSION;
  py::register_exception<BadModel>(module, "BadModelError", PyExc_ValueError).doc() =
      "Model data that breaks a rule of the model: a dtype, a shape or a value.";
  py::register_exception<UnsupportedTarget>(module, "UnsupportedTargetError", PyExc_RuntimeError).doc() =
      "An ISA that this CPU cannot run.";
  bind_model(module);
  bind_kernel(module);
  bind_estimate(module);
  module.def("train", &train_model, "A"_a, "B"_a, "bias"_a, "options"_a, "progress"_a, "See mithral.train.");
  module.def("check_train", &check_train, "A"_a, "B"_a, "bias"_a, "options"_a,
             "Raises what train raises at its start.");
  module.def(
      "integer", [](const py::object& value, const std::string& name) { return integer(value, name.c_str()); },
      "value"_a, "name"_a, "The value as an int, checked like any integer option.");
  module.def("compile", &compile_model, "model"_a, py::kw_only(), "isa"_a = py::none(), "backend"_a = py::none(),
             "threads"_a = py::none(), "bias"_a = py::none(), "activation"_a = py::none(), "tune"_a = py::none(),
             R"(Compiles a model into a kernel for this CPU.

isa: a name from mithral.isas(); None: the best that this CPU runs, at most MITHRAL_ISA
backend: "jit" (machine code for this model), "generic" (ahead-of-time code that reads the model) or "interpreter" (slow,
    runs on any CPU); all return the same bytes. None: the environment's MITHRAL_BACKEND, or "jit"
threads: how many threads a call may use. None: the environment's MITHRAL_THREADS, or 1
bias: (M,), added to the model's offset and rounded to float32: kernel.model has the sum. None: none
activation: None, or "relu": float32 outputs that are not above 0 are +0, never -0; so for argmax and topk, not for sums
tune: "rules" (None): the schedule by rules of the model and the CPU; "measure": the fastest of several on made-up rows,
    found in about 0.1 s beside compiling them. No schedule changes a result; kernel.describe() says what was chosen

Raises ValueError for an option out of range; UnsupportedTargetError where this CPU runs no ISA that code can be generated
for, or the system forbids executable memory. An `isa` that this CPU lacks compiles: program() and listing() work, and a
call raises UnsupportedTargetError.)");
  module.def(
      "isas", [] { return isa_names(all_isas()); }, "The names of the ISAs that code can be generated for, best last.");
  module.def("host", &host_dict,
             "What this CPU is and can run: a dict of vendor, brand, microarchitecture, features (vector features that "
             "both CPU and system provide) and isas (those that code may use here, best last).");

  // Users know these as parts of the package; pickle relies on it.
  for (const char* name : {"Model", "Kernel", "BadModelError", "UnsupportedTargetError"}) {
    module.attr(name).attr("__module__") = "mithral";
  }
#ifdef Py_TPFLAGS_IMMUTABLETYPE  // Python 3.10: an object's __class__ cannot be set to another class of ours
  for (const char* name : {"Model", "Kernel"}) {
    const py::object type = module.attr(name);
    reinterpret_cast<PyTypeObject*>(type.ptr())->tp_flags |= Py_TPFLAGS_IMMUTABLETYPE;
  }
#endif
}
