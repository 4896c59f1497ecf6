#include "runtime/shared_model.h"

#include <algorithm>
#include <array>
#include <map>

#include "codegen/simplify_model.h"
#include "jit/process_lock.h"

namespace mithral {
namespace {

// Arrays by address: a shared model holds them, so that no other can come to be there.
using Key = std::array<const void*, 3>;
const void* arrays_of(const HashTrees& trees) { return &trees.split_dims(); }
const void* arrays_of(const GivenCodes&) { return nullptr; }
Key key_of(const Model& model) {
  return {std::visit([](const auto& encoder) { return arrays_of(encoder); }, model.encoder()), &model.tables().lut(),
          &model.linear().dims()};
}

std::map<Key, std::weak_ptr<const SharedModel>>& shared_models() {
  static auto* models = new std::map<Key, std::weak_ptr<const SharedModel>>;  // kernels may outlive static objects
  return *models;
}

// Under the process's lock.
std::shared_ptr<const SharedModel> find(const Key& key) {
  const auto found = shared_models().find(key);
  return found == shared_models().end() ? nullptr : found->second.lock();
}

}  // namespace

SharedModel::SharedModel(const Model& given) : given_(given), simplified_(codegen::simplify_model(given)) {}

SharedModel::~SharedModel() {
  const std::lock_guard guard(jit::process_lock());
  const auto found = shared_models().find(key_of(given_));
  if (found != shared_models().end() && found->second.expired()) shared_models().erase(found);
}

// No lock is held while a model is simplified: of several threads that do it at once, one's is kept.
std::shared_ptr<const SharedModel> SharedModel::of(const Model& given) {
  const Key key = key_of(given);
  {
    const std::lock_guard guard(jit::process_lock());
    if (std::shared_ptr<const SharedModel> known = find(key)) return known;
  }
  std::shared_ptr<const SharedModel> made(new SharedModel(given));
  const std::lock_guard guard(jit::process_lock());
  std::shared_ptr<const SharedModel> known = find(key);
  if (!known) shared_models()[key] = made;
  return known ? known : made;
}

Model SharedModel::simplified(const Model& given) const {
  return {simplified_.encoder(), simplified_.tables().with_scales_of(given.tables()), given.linear(), given.report()};
}

std::shared_ptr<const LutLayouts> SharedModel::layouts(const Model& model, const codegen::LookupTables& lookup,
                                                       const codegen::RowTables& rows) const {
  auto made = std::make_shared<const LutLayouts>(model, lookup, rows);  // nothing is laid out yet
  const std::lock_guard guard(jit::process_lock());
  std::erase_if(layouts_, [](const auto& layouts) { return layouts.expired(); });
  for (const std::weak_ptr<const LutLayouts>& layouts : layouts_) {
    std::shared_ptr<const LutLayouts> known = layouts.lock();
    if (known && known->are(model, lookup, rows)) return known;
  }
  layouts_.push_back(made);
  return made;
}

}  // namespace mithral
