// Names of dtypes and devices as JavaScript writes them.
#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <array>
#include <utility>

#include "convert.h"
#include "errors.h"

namespace engine {

namespace {
using Name = std::pair<const char*, at::ScalarType>;
constexpr std::array<Name, 17> kNames = {{
    {"float32", at::kFloat},
    {"float64", at::kDouble},
    {"float16", at::kHalf},
    {"bfloat16", at::kBFloat16},
    {"int64", at::kLong},
    {"int32", at::kInt},
    {"int16", at::kShort},
    {"int8", at::kChar},
    {"uint8", at::kByte},
    {"bool", at::kBool},
    {"complex32", at::kComplexHalf},
    {"complex64", at::kComplexFloat},
    {"complex128", at::kComplexDouble},
    {"qint8", at::kQInt8},
    {"quint8", at::kQUInt8},
    {"qint32", at::kQInt32},
    {"quint4x2", at::kQUInt4x2},
}};
}  // namespace

at::ScalarType scalarTypeOf(const std::string& name) {
  for (const Name& entry : kNames) {
    if (name == entry.first) return entry.second;
  }
  throw Fault("BAD_ARGUMENT", "unknown dtype \"" + name + "\"; expected one of float32, float64, float16, bfloat16, "
                              "int64, int32, int16, int8, uint8, bool");
}

const char* nameOf(at::ScalarType type) {
  for (const Name& entry : kNames) {
    if (type == entry.second) return entry.first;
  }
  return c10::toString(type);
}

c10::Device deviceOf(const std::string& name) {
  try {
    return c10::Device(name);
  } catch (const std::exception&) {
    throw Fault("BAD_ARGUMENT", "unknown device \"" + name + "\"; expected \"cpu\", \"cuda\" or \"cuda:0\"");
  }
}

}  // namespace engine
