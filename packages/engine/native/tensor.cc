#include "tensor.h"

#include <ATen/ATen.h>

#include <cstring>

#include "convert.h"
#include "errors.h"

namespace engine {

namespace {

at::Tensor& tensorArgument(const Napi::CallbackInfo& info, size_t i, const char* what) {
  return State::of(info.Env()).tensor(info[i].As<Napi::Number>().DoubleValue(), what);
}

// The bytes behind any ArrayBuffer view.
struct Bytes {
  const uint8_t* data;
  size_t size;
};

Bytes bytesOf(const Napi::Value& value) {
  if (value.IsTypedArray()) {
    auto array = value.As<Napi::TypedArray>();
    return {static_cast<const uint8_t*>(array.ArrayBuffer().Data()) + array.ByteOffset(), array.ByteLength()};
  }
  throw Fault("BAD_ARGUMENT", "expected a typed array");
}

std::vector<int64_t> sizesOf(const Napi::Value& value) {
  const auto list = value.As<Napi::Array>();
  std::vector<int64_t> sizes(list.Length());
  for (uint32_t i = 0; i < sizes.size(); ++i) sizes[i] = list.Get(i).As<Napi::Number>().Int64Value();
  return sizes;
}

// fromBytes(typedArray, shape, dtype) -> handle of a new CPU tensor holding a copy
Napi::Value fromBytes(const Napi::CallbackInfo& info) {
  const Bytes bytes = bytesOf(info[0]);
  const at::ScalarType dtype = scalarTypeOf(info[2].As<Napi::String>());
  at::Tensor tensor = at::empty(sizesOf(info[1]), at::TensorOptions(dtype));
  if (tensor.nbytes() != bytes.size) {
    throw Fault("BAD_ARGUMENT", "expected " + std::to_string(tensor.nbytes()) + " bytes for this shape and dtype, got " +
                                    std::to_string(bytes.size));
  }
  if (bytes.size > 0) std::memcpy(tensor.data_ptr(), bytes.data, bytes.size);
  return Napi::Number::New(info.Env(), State::of(info.Env()).addTensor(std::move(tensor)));
}

at::Tensor contiguousOnCpu(const at::Tensor& tensor) { return tensor.detach().to(at::kCPU).resolve_conj().resolve_neg().contiguous(); }

// copyBytes(handle) -> ArrayBuffer of the elements in row-major order
Napi::Value copyBytes(const Napi::CallbackInfo& info) {
  const at::Tensor tensor = contiguousOnCpu(tensorArgument(info, 0, "toTypedArray"));
  Napi::ArrayBuffer out = Napi::ArrayBuffer::New(info.Env(), tensor.nbytes());
  if (tensor.nbytes() > 0) std::memcpy(out.Data(), tensor.data_ptr(), tensor.nbytes());
  return out;
}

// shareBytes(handle) -> ArrayBuffer over the tensor's own memory, which it keeps alive
Napi::Value shareBytes(const Napi::CallbackInfo& info) {
  const at::Tensor& tensor = tensorArgument(info, 0, "shareTypedArray");
  if (!tensor.device().is_cpu() || tensor.layout() != c10::kStrided || !tensor.is_contiguous()) {
    throw Fault("BAD_ARGUMENT", "expected a contiguous tensor on the CPU; copy with toTypedArray() or call contiguous()");
  }
  if (tensor.nbytes() == 0) return Napi::ArrayBuffer::New(info.Env(), 0);
  auto* owner = new at::Tensor(tensor.detach());
  return Napi::ArrayBuffer::New(
      info.Env(), owner->data_ptr(), owner->nbytes(), [](Napi::Env, void*, at::Tensor* held) { delete held; }, owner);
}

constexpr int kRequiresGrad = 1;
constexpr int kLeaf = 2;
constexpr int kContiguous = 4;
constexpr int kChannelsLast = 8;

// describe(handle): writes flags, storage offset, rank, sizes and strides to the buffer
Napi::Value describe(const Napi::CallbackInfo& info) {
  State& state = State::of(info.Env());
  const at::Tensor& tensor = tensorArgument(info, 0, "tensor");
  const bool strided = tensor.layout() == c10::kStrided;
  const size_t rank = static_cast<size_t>(tensor.dim());
  if (state.capacity() < 3 + 2 * rank) throw Fault("BAD_ARGUMENT", "tensor: more dimensions than can be described");
  double* cells = state.cells();
  int flags = (tensor.requires_grad() ? kRequiresGrad : 0) | (tensor.is_leaf() ? kLeaf : 0);
  if (strided && tensor.is_contiguous()) flags |= kContiguous;
  if (strided && rank == 4 && tensor.is_contiguous(at::MemoryFormat::ChannelsLast)) flags |= kChannelsLast;
  cells[0] = flags;
  cells[1] = strided ? static_cast<double>(tensor.storage_offset()) : 0;
  cells[2] = static_cast<double>(rank);
  for (size_t i = 0; i < rank; ++i) {
    cells[3 + i] = static_cast<double>(tensor.size(static_cast<int64_t>(i)));
    cells[3 + rank + i] = strided ? static_cast<double>(tensor.stride(static_cast<int64_t>(i))) : 0;
  }
  return info.Env().Undefined();
}

Napi::Value dtype(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), nameOf(tensorArgument(info, 0, "dtype").scalar_type()));
}

Napi::Value device(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), tensorArgument(info, 0, "device").device().str());
}

// item(handle) -> number, boolean or bigint (int64 only)
Napi::Value item(const Napi::CallbackInfo& info) {
  const at::Tensor& tensor = tensorArgument(info, 0, "item");
  if (tensor.numel() != 1) {
    throw Fault("BAD_ARGUMENT", "item: expected a tensor of one element, got " + std::to_string(tensor.numel()));
  }
  const at::Scalar value = tensor.item();
  if (value.isBoolean()) return Napi::Boolean::New(info.Env(), value.toBool());
  if (value.isIntegral(false)) {
    const int64_t integer = value.toLong();
    if (tensor.scalar_type() == at::kLong) return Napi::BigInt::New(info.Env(), integer);
    return Napi::Number::New(info.Env(), static_cast<double>(integer));
  }
  return Napi::Number::New(info.Env(), value.toDouble());
}

// sameStorage(a, b) -> whether two tensors look at the same memory
Napi::Value sameStorage(const Napi::CallbackInfo& info) {
  const at::Tensor& a = tensorArgument(info, 0, "sameStorage");
  const at::Tensor& b = tensorArgument(info, 1, "sameStorage");
  const bool same = a.has_storage() && b.has_storage() && a.storage().data() == b.storage().data();
  return Napi::Boolean::New(info.Env(), same);
}

// alias(handle) -> a second handle of the same tensor
Napi::Value alias(const Napi::CallbackInfo& info) {
  at::Tensor tensor = tensorArgument(info, 0, "tensor");
  return Napi::Number::New(info.Env(), State::of(info.Env()).addTensor(std::move(tensor)));
}

// counts() -> { tensors, bytes } held through handles of this environment
Napi::Value counts(const Napi::CallbackInfo& info) {
  State& state = State::of(info.Env());
  Napi::Object out = Napi::Object::New(info.Env());
  out.Set("tensors", static_cast<double>(state.tensors.size()));
  out.Set("bytes", static_cast<double>(state.liveBytes));
  return out;
}

}  // namespace

void exportTensor(Napi::Env env, Napi::Object exports) {
  exports.Set("fromBytes", Napi::Function::New<guarded<fromBytes>>(env));
  exports.Set("copyBytes", Napi::Function::New<guarded<copyBytes>>(env));
  exports.Set("shareBytes", Napi::Function::New<guarded<shareBytes>>(env));
  exports.Set("describe", Napi::Function::New<guarded<describe>>(env));
  exports.Set("dtype", Napi::Function::New<guarded<dtype>>(env));
  exports.Set("device", Napi::Function::New<guarded<device>>(env));
  exports.Set("item", Napi::Function::New<guarded<item>>(env));
  exports.Set("sameStorage", Napi::Function::New<guarded<sameStorage>>(env));
  exports.Set("alias", Napi::Function::New<guarded<alias>>(env));
  exports.Set("counts", Napi::Function::New<guarded<counts>>(env));
}

}  // namespace engine
