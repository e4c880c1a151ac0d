// Gathers the kernels of one instruction set; included once by each kernels_<isa>.cpp.
#pragma once

#include "gemm.h"
#include "planes.h"
#include "resize.h"
#include "sampling.h"
#include "transpose.h"

namespace sepc {
namespace cpu {
namespace {

template <class T>
constexpr Kernels<T> make_table() {
  return {kRows,         panel<T>(), &plan<T>,      &sample<T>,       &scatter<T>,
          &multiply<T>, &outer<T>,  &transpose<T>, &upsample_row<T>, &upsample_row_adjoint<T>,
          &plane_sum<T>, &plane_squares<T>, &plane_normalise<T>, &plane_grad_sums<T>, &plane_grad<T>};
}

}  // namespace
}  // namespace cpu
}  // namespace sepc
