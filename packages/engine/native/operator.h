// An operator that JavaScript has resolved: its handle and how to read each of its arguments.
#pragma once
#include <ATen/core/dispatch/Dispatcher.h>

#include <utility>
#include <vector>

#include "convert.h"

namespace engine {

// Signatures that are called without boxing, which makes the shortest calls a few per cent faster.
using Unary = at::Tensor(const at::Tensor&);
using Binary = at::Tensor(const at::Tensor&, const at::Tensor&);
using BinaryAlpha = at::Tensor(const at::Tensor&, const at::Tensor&, const c10::Scalar&);

struct Operator {
  explicit Operator(c10::OperatorHandle found) : handle(std::move(found)) {
    const c10::FunctionSchema& schema = handle.schema();
    for (const c10::Argument& argument : schema.arguments()) arguments.push_back(planArgument(argument));
    returnsFirst = isWrittenFirst(schema);
    findUnboxed(schema);
    oneTensor = schema.returns().size() == 1 && schema.returns()[0].type()->kind() == c10::TypeKind::TensorType;
  }

  c10::OperatorHandle handle;
  std::vector<ArgumentPlan> arguments;
  bool oneTensor = false;
  bool returnsFirst = false;  // in place: the one result is the first argument
  c10::optional<c10::TypedOperatorHandle<Unary>> unary;
  c10::optional<c10::TypedOperatorHandle<Binary>> binary;
  c10::optional<c10::TypedOperatorHandle<BinaryAlpha>> binaryAlpha;
  c10::Scalar alpha;

 private:
  static bool writes(const c10::Argument& argument) {
    return argument.alias_info() != nullptr && argument.alias_info()->isWrite();
  }
  static bool isPlainTensor(const c10::Argument& argument) {
    return argument.type()->kind() == c10::TypeKind::TensorType && !writes(argument);
  }
  void findUnboxed(const c10::FunctionSchema& schema) {
    const auto& taken = schema.arguments();
    if (schema.returns().size() != 1 || !isPlainTensor(schema.returns()[0])) return;
    if (schema.is_vararg() || taken.empty() || taken.size() > 3 || !isPlainTensor(taken[0])) return;
    try {
      if (taken.size() == 1) {
        unary = handle.typed<Unary>();
      } else if (taken.size() == 2 && isPlainTensor(taken[1])) {
        binary = handle.typed<Binary>();
      } else if (taken.size() == 3 && isPlainTensor(taken[1]) && arguments[2].kind == Kind::Number &&
                 !arguments[2].optional && arguments[2].fallback) {
        alpha = arguments[2].fallback->toScalar();
        binaryAlpha = handle.typed<BinaryAlpha>();
      }
    } catch (const std::exception&) {
      // Registered under another C++ signature: the boxed call takes anything.
    }
  }
  static bool isWrittenFirst(const c10::FunctionSchema& schema) {
    return schema.returns().size() == 1 && !schema.arguments().empty() && writes(schema.returns()[0]) &&
           writes(schema.arguments()[0]) && schema.arguments()[0].type()->kind() == c10::TypeKind::TensorType;
  }
};

}  // namespace engine
