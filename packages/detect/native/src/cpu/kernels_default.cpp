// The kernels of kernels.h, compiled for default (flags in CMakeLists.txt).
#include "table.h"

namespace sepc {
namespace cpu {

const Kernels<float>& kernels_default_float() {
  static constexpr Kernels<float> table = make_table<float>();
  return table;
}
const Kernels<double>& kernels_default_double() {
  static constexpr Kernels<double> table = make_table<double>();
  return table;
}

}  // namespace cpu
}  // namespace sepc
