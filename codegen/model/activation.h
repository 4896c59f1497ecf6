// What is applied to float32 outputs, after scale and offset.
#pragma once

#include <string>

#include "codegen/model/error.h"

namespace mithral {

enum class Activation {
  kNone,
  kRelu,  // y > 0 ? y : +0: never -0
};

inline constexpr const char* kActivationNames[] = {"none", "relu"};
inline const char* activation_name(Activation activation) { return kActivationNames[static_cast<int>(activation)]; }

// Throws InvalidArgument that names what is allowed.
inline Activation activation_from_name(const std::string& name) {
  for (const Activation activation : {Activation::kNone, Activation::kRelu}) {
    if (name == activation_name(activation)) return activation;
  }
  throw InvalidArgument(
      message("unknown activation '", name, "'; allowed: ", kActivationNames[0], ", ", kActivationNames[1]));
}

}  // namespace mithral
