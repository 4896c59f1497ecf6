#include "codegen/model/model.h"

#include "codegen/model/error.h"

namespace mithral {
namespace {

struct Sizes {
  int64_t n_features, n_codebooks, n_entries;
};
Sizes sizes_of(const HashTrees& trees) { return {trees.n_features(), trees.n_codebooks(), trees.n_entries()}; }
Sizes sizes_of(const GivenCodes& codes) { return {codes.n_codebooks, codes.n_codebooks, codes.n_entries}; }
Sizes sizes_of(const Encoder& encoder) {
  return std::visit([](const auto& kind) { return sizes_of(kind); }, encoder);
}

}  // namespace

Model::Model(Encoder encoder, Tables tables, LinearDims linear, Report report)
    : encoder_(std::move(encoder)), tables_(std::move(tables)), linear_(std::move(linear)), report_(std::move(report)) {
  const Sizes sizes = sizes_of(encoder_);
  if (sizes.n_codebooks != n_codebooks() || sizes.n_entries != n_entries()) {
    throw BadModel(message("lut has tables of ", n_codebooks(), " codebooks with ", n_entries(),
                           " entries; expected those of the encoder: ", sizes.n_codebooks, " codebooks with ",
                           sizes.n_entries, " codes"));
  }
  if (n_codebooks() == 0 && linear_.empty()) {
    throw BadModel("the model has no codebooks and no linear dims; allowed: at least one of either");
  }
  if (linear_.empty()) return;
  if (has_given_codes()) {
    throw BadModel("linear dims read features, and the model's codes come from the caller; allowed: with hash trees");
  }
  if (linear_.n_features() != n_features() || linear_.n_outputs() != n_outputs()) {
    throw BadModel(message("linear dims are of ", linear_.n_features(), " features and ", linear_.n_outputs(),
                           " outputs; expected those of the trees and tables: ", n_features(), " and ", n_outputs()));
  }
}

int64_t Model::n_features() const { return sizes_of(encoder_).n_features; }

const HashTrees& Model::trees() const {
  if (const HashTrees* trees = std::get_if<HashTrees>(&encoder_)) return *trees;
  throw InvalidArgument(
      message("the model has no hash trees", has_given_codes() ? ": its codes come from the caller" : ""));
}

void Model::check_codes_suffice() const {
  if (linear_.empty()) return;
  throw InvalidArgument(message("the model has ", n_linear(), " linear dims and ", n_latents(),
                                " latents, which are made of rows: codes alone do not give its outputs; call the ",
                                "kernel with rows"));
}

}  // namespace mithral
