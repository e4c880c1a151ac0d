#include "state.h"

#include <cstring>

#include "errors.h"
#include "modes.h"
#include "operator.h"

namespace engine {

namespace {
constexpr int64_t kReportStep = 1 << 20;
constexpr size_t kFirstCells = 1024;

// Bytes that the new handle is first to hold: views of a storage that is already held count nothing, nor does a tensor
// that something else holds, as a parameter holds its gradient.
int64_t newBytes(const at::Tensor& tensor) {
  if (!tensor.has_storage() || tensor.use_count() > 1 || tensor.storage().use_count() > 1) return 0;
  return static_cast<int64_t>(tensor.storage().nbytes());
}
}  // namespace

State::State(Napi::Env env) : guards(std::make_unique<GuardStack>()), env_(env) { growBuffer(kFirstCells); }

State::~State() = default;

int32_t State::addTensor(at::Tensor tensor) {
  if (!tensor.defined()) return -1;
  const int64_t bytes = newBytes(tensor);
  liveBytes += bytes;
  return tensors.add({std::move(tensor), bytes, false});
}

void State::leaveToCollector(double handle) {
  if (!tensors.has(handle)) return;
  TensorSlot& slot = tensors.at(static_cast<int32_t>(handle));
  if (slot.reported) return;
  slot.reported = true;
  reportMemory(slot.bytes);
}

at::Tensor& State::tensor(double handle, const char* what) {
  if (!tensors.has(handle)) throw Fault("FREED", std::string(what) + ": the tensor has been freed");
  return tensors.at(static_cast<int32_t>(handle)).tensor;
}

void State::freeTensor(double handle) {
  if (!tensors.has(handle)) return;
  const TensorSlot slot = tensors.take(static_cast<int32_t>(handle));
  liveBytes -= slot.bytes;
  if (slot.reported) reportMemory(-slot.bytes);
}

void State::reportMemory(int64_t delta) {
  unreported_ += delta;
  if (unreported_ < kReportStep && unreported_ > -kReportStep) return;
  int64_t total = 0;
  napi_adjust_external_memory(env_, unreported_, &total);
  unreported_ = 0;
}

void State::growBuffer(size_t cells) {
  size_t capacity = capacity_ == 0 ? kFirstCells : capacity_;
  while (capacity < cells) capacity *= 2;
  Napi::ArrayBuffer grown = Napi::ArrayBuffer::New(env_, capacity * sizeof(double));
  auto* data = static_cast<double*>(grown.Data());
  if (cells_ != nullptr) std::memcpy(data, cells_, capacity_ * sizeof(double));
  buffer_ = Napi::Persistent(grown);
  cells_ = data;
  capacity_ = capacity;
}

}  // namespace engine
