// Chooses the instruction set once, at first use.
#include <c10/util/Exception.h>

#include <cstdlib>
#include <string>

#include "kernels.h"

namespace sepc {
namespace cpu {

const Kernels<float>& kernels_default_float();
const Kernels<double>& kernels_default_double();
#if defined(SEPC_X86_KERNELS)
const Kernels<float>& kernels_avx2_float();
const Kernels<double>& kernels_avx2_double();
const Kernels<float>& kernels_avx512_float();
const Kernels<double>& kernels_avx512_double();
#endif

namespace {

enum class Capability { Default, Avx2, Avx512 };

Capability supported() {
#if defined(SEPC_X86_KERNELS)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl")) {
    return Capability::Avx512;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return Capability::Avx2;
#endif
  return Capability::Default;
}

Capability choose() {
  const Capability best = supported();
  const char* wish = std::getenv("SEPC_CPU_CAPABILITY");
  if (wish == nullptr || *wish == '\0') return best;
  const std::string name = wish;
  Capability asked = best;
  if (name == "default") {
    asked = Capability::Default;
  } else if (name == "avx2") {
    asked = Capability::Avx2;
  } else if (name == "avx512") {
    asked = Capability::Avx512;
  } else {
    TORCH_WARN("SEPC_CPU_CAPABILITY: expected default, avx2 or avx512, got \"", name, "\"; ignored");
  }
  return asked < best ? asked : best;  // never more than the processor can run
}

Capability current() {
  static const Capability chosen = choose();
  return chosen;
}

}  // namespace

const char* capability() {
  const char* names[] = {"default", "avx2", "avx512"};
  return names[static_cast<int>(current())];
}

template <>
const Kernels<float>& kernels<float>() {
#if defined(SEPC_X86_KERNELS)
  if (current() == Capability::Avx512) return kernels_avx512_float();
  if (current() == Capability::Avx2) return kernels_avx2_float();
#endif
  return kernels_default_float();
}

template <>
const Kernels<double>& kernels<double>() {
#if defined(SEPC_X86_KERNELS)
  if (current() == Capability::Avx512) return kernels_avx512_double();
  if (current() == Capability::Avx2) return kernels_avx2_double();
#endif
  return kernels_default_double();
}

}  // namespace cpu
}  // namespace sepc
