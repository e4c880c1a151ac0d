// The collectives themselves, on the group's thread.
#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include "../errors.h"
#include "agreement.h"
#include "group.h"
#include "times.h"

namespace engine {

namespace {

// Element type in which values travel to be reduced. Halves are summed in float32: less is lost than in their own
// precision, and not every version of Gloo has them.
at::ScalarType wireType(at::ScalarType type, bool onDevice) {
  if (type == at::kBool) return at::kByte;
  if (type == at::kShort) return at::kInt;
  if (!onDevice && (type == at::kHalf || type == at::kBFloat16)) return at::kFloat;
  return type;
}

c10d::ReduceOp::RedOpType c10dReduction(Reduction reduction) {
  if (reduction == Reduction::Max) return c10d::ReduceOp::MAX;
  if (reduction == Reduction::Min) return c10d::ReduceOp::MIN;
  return c10d::ReduceOp::SUM;  // Gloo has no mean
}

// Tensors made under inferenceMode can be written only under it.
void assign(const at::Tensor& to, const at::Tensor& from) {
  if (!to.is_inference()) {
    to.copy_(from);
    return;
  }
  const c10::InferenceMode mode;
  to.copy_(from);
}

}  // namespace

// The elements in row-major order where the backend can send them from; shares memory with `tensor` when it can.
at::Tensor Group::flat(const at::Tensor& tensor, at::ScalarType wire) const {
  return tensor.to(device(), wire).contiguous().reshape({-1});
}

void Group::await(const c10::intrusive_ptr<c10d::Work>& work) {
  if (onDevice()) return awaitDevice(work);
  const auto deadline = Clock::now() + options_.timeout + kGrace;
  const auto future = work->getFuture();
  const uint64_t ticket = ++issued_;
  future->addCallback([self = shared_from_this(), ticket](c10::ivalue::Future&) {
    const std::lock_guard<std::mutex> lock(self->mutex_);
    self->completed_ = ticket;
    self->changed_.notify_all();
  });
  {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait_until(lock, deadline, [&] { return abandoned_ || completed_ >= ticket; });
    if (completed_ < ticket) {
      stuck_ = true;
      throw Fault("DISTRIBUTED", abandoned_ ? std::string("the environment ended") : "no answer from the other ranks within " + seconds(options_.timeout) + " s");
    }
  }
  if (future->hasError()) std::rethrow_exception(future->exception_ptr());
}

// NCCL's futures complete when the work is queued; the work itself is asked, and its wait() then tells of failures.
void Group::awaitDevice(const c10::intrusive_ptr<c10d::Work>& work) {
  const auto deadline = Clock::now() + options_.timeout;
  auto pause = std::chrono::microseconds(20);
  while (!work->isCompleted() && Clock::now() < deadline) {
    std::unique_lock<std::mutex> lock(mutex_);
    if (changed_.wait_for(lock, pause, [this] { return abandoned_; })) {
      stuck_ = true;
      throw Fault("DISTRIBUTED", "the environment ended");
    }
    pause = std::min(pause * 2, std::chrono::microseconds(1000));
  }
  try {
    work->wait();
  } catch (...) {
    stuck_ = true;
    throw;
  }
}

std::vector<std::vector<int64_t>> Group::exchange(const std::vector<int64_t>& mine) {
  const auto length = static_cast<int64_t>(mine.size());
  const at::Tensor sent = at::tensor(mine, at::kLong).to(device());
  std::vector<at::Tensor> inputs{sent};
  std::vector<std::vector<at::Tensor>> outputs(1);
  for (int rank = 0; rank < options_.size; ++rank) outputs[0].push_back(at::empty({length}, sent.options()));
  await(backend_->allgather(outputs, inputs));
  std::vector<std::vector<int64_t>> all;
  for (const at::Tensor& output : outputs[0]) {
    const at::Tensor row = output.to(at::kCPU);
    const auto* values = row.data_ptr<int64_t>();
    all.emplace_back(values, values + length);
  }
  return all;
}

// c10d compares nothing: with Gloo a message longer than the receiver's buffer ends the process.
void Group::compare(const Job& job) {
  const Agreement mine = agreementOf(job);
  const auto marks = exchange(mine);
  for (size_t rank = 0; rank < marks.size(); ++rank) {
    if (marks[rank] == mine) continue;
    desynced_ = false;  // all ranks find out together
    const std::string theirs = describe(marks[rank]);
    throw Fault("DISTRIBUTED", "the ranks disagree: this one asked for " + describe(mine) + ", rank " + std::to_string(rank) + " for " +
                                   theirs + (theirs == describe(mine) ? " (of other shapes, dtypes or bucketBytes)" : "") +
                                   ". All ranks must make the same calls in the same order with the same shapes and dtypes.");
  }
}

void Group::allReduce(Job& job) {
  std::vector<at::Tensor> left;
  for (const at::Tensor& tensor : job.tensors) {
    if (tensor.numel() > 0) left.push_back(tensor);
  }
  while (!left.empty()) {
    const at::ScalarType type = left.front().scalar_type();
    const at::ScalarType wire = wireType(type, onDevice());
    std::vector<at::Tensor> bucket, rest;
    int64_t bytes = 0;
    bool full = false;
    for (const at::Tensor& tensor : left) {
      const int64_t more = tensor.numel() * static_cast<int64_t>(c10::elementSize(wire));
      full = full || (!bucket.empty() && bytes + more > job.bucketBytes);
      if (tensor.scalar_type() != type || full) {
        rest.push_back(tensor);
        continue;
      }
      bucket.push_back(tensor);
      bytes += more;
    }
    reduceBucket(bucket, wire, job.reduction);
    left = std::move(rest);
  }
}

void Group::reduceBucket(const std::vector<at::Tensor>& tensors, at::ScalarType wire, Reduction reduction) {
  at::Tensor buffer;
  if (tensors.size() == 1) {
    buffer = flat(tensors[0], wire);
  } else {
    std::vector<at::Tensor> parts;
    for (const at::Tensor& tensor : tensors) parts.push_back(flat(tensor, wire));
    buffer = at::cat(parts);
  }
  std::vector<at::Tensor> sent{buffer};
  c10d::AllreduceOptions settings;
  settings.reduceOp = c10dReduction(reduction);
  await(backend_->allreduce(sent, settings));
  if (reduction == Reduction::Mean) {
    const c10::InferenceMode mode;
    buffer.div_(options_.size);
  }
  int64_t offset = 0;
  for (const at::Tensor& tensor : tensors) {
    const at::Tensor part = buffer.narrow(0, offset, tensor.numel());
    offset += tensor.numel();
    if (!part.is_alias_of(tensor)) assign(tensor, part.view(tensor.sizes()));
  }
}

void Group::broadcast(Job& job) {
  c10d::BroadcastOptions settings;
  settings.rootRank = job.root;
  for (const at::Tensor& tensor : job.tensors) {
    if (tensor.numel() == 0) continue;
    const at::Tensor elements = flat(tensor, tensor.scalar_type());
    std::vector<at::Tensor> sent{elements.view(at::kByte)};  // any dtype goes as bytes
    await(backend_->broadcast(sent, settings));
    if (options_.rank != job.root && !elements.is_alias_of(tensor)) assign(tensor, elements.view(tensor.sizes()));
  }
}

void Group::allGather(Job& job) {
  for (size_t i = 0; i < job.tensors.size(); ++i) {
    const at::Tensor& tensor = job.tensors[i];
    if (tensor.numel() == 0) continue;
    const at::ScalarType type = tensor.scalar_type();
    std::vector<at::Tensor> inputs{flat(tensor, type).view(at::kByte)};
    std::vector<std::vector<at::Tensor>> outputs(1);
    std::vector<at::Tensor> elements;
    for (int rank = 0; rank < options_.size; ++rank) {
      elements.push_back(flat(job.results[i * options_.size + rank], type));
      outputs[0].push_back(elements.back().view(at::kByte));
    }
    await(backend_->allgather(outputs, inputs));
    for (int rank = 0; rank < options_.size; ++rank) {
      const at::Tensor& result = job.results[i * options_.size + rank];
      if (!elements[rank].is_alias_of(result)) assign(result, elements[rank].view(result.sizes()));
    }
  }
}

void Group::barrier() {
  c10d::BarrierOptions settings;
  if (onDevice()) settings.device_ids = {options_.device};
  await(backend_->barrier(settings));
}

}  // namespace engine
