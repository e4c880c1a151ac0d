// State of one JavaScript environment (the main thread or a worker): the tables that give JavaScript small integers
// ("handles") for native values, and the buffer through which the door's arguments and results travel.
#pragma once
#include <ATen/core/Tensor.h>
#include <ATen/core/Generator.h>
#include <ATen/core/ivalue.h>
#include <napi.h>

#include <memory>
#include <vector>

#include "warnings.h"

namespace engine {

// Values by small integer, with free places reused.
template <typename T>
class Table {
 public:
  int32_t add(T value) {
    if (!free_.empty()) {
      const int32_t handle = free_.back();
      free_.pop_back();
      values_[handle] = std::move(value);
      used_[handle] = true;
      return handle;
    }
    values_.push_back(std::move(value));
    used_.push_back(true);
    return static_cast<int32_t>(values_.size() - 1);
  }
  bool has(double handle) const {
    return handle >= 0 && handle < static_cast<double>(values_.size()) && used_[static_cast<size_t>(handle)];
  }
  T& at(int32_t handle) { return values_[static_cast<size_t>(handle)]; }
  T take(int32_t handle) {
    T value = std::move(values_[static_cast<size_t>(handle)]);
    values_[static_cast<size_t>(handle)] = T();
    used_[static_cast<size_t>(handle)] = false;
    free_.push_back(handle);
    return value;
  }
  size_t size() const { return values_.size() - free_.size(); }

 private:
  std::vector<T> values_;
  std::vector<char> used_;
  std::vector<int32_t> free_;
};

struct TensorSlot {
  at::Tensor tensor;
  int64_t bytes = 0;      // memory that this handle was first to hold
  bool reported = false;  // whether V8 was told of it
};

struct GuardStack;  // see modes.h
struct Operator;    // see operator.h

class State {
 public:
  explicit State(Napi::Env env);
  ~State();
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  static State& of(Napi::Env env) { return *env.GetInstanceData<State>(); }

  // -1 stands for an undefined tensor.
  int32_t addTensor(at::Tensor tensor);
  at::Tensor& tensor(double handle, const char* what);
  void freeTensor(double handle);
  // Tells V8 of the memory behind a handle that only its collector may free. What a scope frees is not told: V8 would
  // collect garbage again and again for memory that no collection can free.
  void leaveToCollector(double handle);

  // Grows the argument buffer to at least `cells` 8-byte cells; what it held is kept.
  void growBuffer(size_t cells);
  double* cells() { return cells_; }
  size_t capacity() const { return capacity_; }
  Napi::Value buffer() { return buffer_.Value(); }

  Table<TensorSlot> tensors;
  Table<at::Generator> generators;
  Table<c10::IValue> opaques;
  std::vector<std::unique_ptr<Operator>> operators;
  std::unique_ptr<GuardStack> guards;
  Warnings warnings;
  int64_t liveBytes = 0;

 private:
  // In steps of at least a mebibyte.
  void reportMemory(int64_t delta);

  Napi::Env env_;
  Napi::Reference<Napi::ArrayBuffer> buffer_;
  double* cells_ = nullptr;
  size_t capacity_ = 0;
  int64_t unreported_ = 0;
};

}  // namespace engine
