#include "group.h"

#include <ATen/ATen.h>
#include <ATen/MemoryOverlap.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <algorithm>
#include <chrono>
#include <utility>

#include "../convert.h"
#include "../errors.h"
#include "lent_store.h"

namespace engine {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// c10d keeps its own time-outs; this much later the group gives up on a collective that still has not ended.
constexpr milliseconds kGrace{5000};
constexpr milliseconds kRetry{500};
// How long a group that is let go may take to close its connections.
constexpr milliseconds kGoodbye{500};

// What the ranks must agree on, in 64-bit numbers; sizes beyond the first eight are in the hash alone.
constexpr size_t kMarkSizes = 8;
enum Mark : size_t { kWhat, kReduction, kRoot, kDtype, kCount, kNumel, kHash, kRank, kSizes };
constexpr size_t kMarkLength = kSizes + kMarkSizes;

const char* nameOf(Collective collective) {
  switch (collective) {
    case Collective::Connect: return "init";
    case Collective::AllReduce: return "allReduce";
    case Collective::Broadcast: return "broadcast";
    case Collective::AllGather: return "allGather";
    case Collective::Barrier: return "barrier";
    case Collective::Close: return "destroy";
  }
  return "collective";
}

const char* nameOf(Reduction reduction) {
  switch (reduction) {
    case Reduction::Sum: return "sum";
    case Reduction::Mean: return "mean";
    case Reduction::Max: return "max";
    case Reduction::Min: return "min";
  }
  return "reduction";
}

// Element type in which values travel to be reduced. Halves are summed in float32: less is lost than in their own
// precision, and not every version of Gloo has them.
at::ScalarType wireType(at::ScalarType type, bool onDevice) {
  if (type == at::kBool) return at::kByte;
  if (type == at::kShort) return at::kInt;
  if (!onDevice && (type == at::kHalf || type == at::kBFloat16)) return at::kFloat;
  return type;
}

bool canReduce(at::ScalarType type) {
  switch (type) {
    case at::kFloat: case at::kDouble: case at::kHalf: case at::kBFloat16: case at::kByte: case at::kChar:
    case at::kShort: case at::kInt: case at::kLong: case at::kBool:
      return true;
    default:
      return false;
  }
}

c10d::ReduceOp::RedOpType c10dReduction(Reduction reduction) {
  if (reduction == Reduction::Max) return c10d::ReduceOp::MAX;
  if (reduction == Reduction::Min) return c10d::ReduceOp::MIN;
  return c10d::ReduceOp::SUM;  // Gloo has no mean
}

int64_t mix(int64_t hash, int64_t value) {
  // FNV-1a over 64-bit words.
  return static_cast<int64_t>((static_cast<uint64_t>(hash) ^ static_cast<uint64_t>(value)) * 1099511628211ULL);
}

std::vector<int64_t> markOf(const Job& job) {
  std::vector<int64_t> mark(kMarkLength, 0);
  mark[kWhat] = static_cast<int64_t>(job.collective);
  mark[kReduction] = static_cast<int64_t>(job.reduction);
  mark[kRoot] = job.root;
  mark[kCount] = static_cast<int64_t>(job.tensors.size());
  int64_t hash = mix(1469598103934665603LL, job.bucketBytes);
  for (const at::Tensor& tensor : job.tensors) {
    mark[kNumel] += tensor.numel();
    hash = mix(mix(hash, static_cast<int64_t>(tensor.scalar_type())), tensor.dim());
    for (const int64_t size : tensor.sizes()) hash = mix(hash, size);
  }
  mark[kHash] = hash;
  if (job.tensors.empty()) return mark;
  const at::Tensor& first = job.tensors.front();
  mark[kDtype] = static_cast<int64_t>(first.scalar_type());
  mark[kRank] = first.dim();
  for (size_t i = 0; i < std::min<size_t>(kMarkSizes, first.dim()); ++i) mark[kSizes + i] = first.size(i);
  return mark;
}

std::string describe(const std::vector<int64_t>& mark) {
  const auto collective = static_cast<Collective>(mark[kWhat]);
  std::string text = nameOf(collective);
  if (collective == Collective::AllReduce) text += std::string(" ") + nameOf(static_cast<Reduction>(mark[kReduction]));
  if (collective == Collective::Broadcast) text += " from rank " + std::to_string(mark[kRoot]);
  if (mark[kCount] == 0) return text;
  if (mark[kCount] > 1) {
    return text + " of " + std::to_string(mark[kCount]) + " tensors with " + std::to_string(mark[kNumel]) + " elements in all";
  }
  text += std::string(" of ") + engine::nameOf(static_cast<at::ScalarType>(mark[kDtype])) + " [";
  for (int64_t i = 0; i < mark[kRank]; ++i) {
    if (i > 0) text += ", ";
    text += i < static_cast<int64_t>(kMarkSizes) ? std::to_string(mark[kSizes + static_cast<size_t>(i)]) : "...";
  }
  return text + "]";
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

milliseconds until(Clock::time_point deadline) {
  return std::max(milliseconds(1), std::chrono::duration_cast<milliseconds>(deadline - Clock::now()));
}

std::string seconds(milliseconds time) {
  std::string text = std::to_string(static_cast<double>(time.count()) / 1000);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text;
}

bool tellsClosed(const std::string& message) {
  return message.find("Connection reset") != std::string::npos || message.find("Broken pipe") != std::string::npos ||
         message.find("closed") != std::string::npos;
}

// Gloo's message in the words of who asked for a collective.
std::string explain(std::string message) {
  message = message.substr(0, message.find(" This is typically caused by"));
  return tellsClosed(message) ? "another rank has ended or left the group: " + message : message;
}

// Something of a kind that may go well a little later.
class Retry : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace

std::shared_ptr<Group> Group::start(GroupOptions options) {
  std::shared_ptr<Group> group(new Group(std::move(options)));
  // The thread holds the group, so that letting go of it anywhere is safe.
  group->thread_ = std::thread([group] { group->loop(); });
  return group;
}

Group::~Group() {
  if (!thread_.joinable()) return;
  // The last holder may be the thread itself.
  thread_.detach();
}

void Group::validate(const Job& job) const {
  const char* what = nameOf(job.collective);
  const bool writes = job.collective == Collective::AllReduce || job.collective == Collective::Broadcast;
  for (const at::Tensor& tensor : job.tensors) {
    const at::ScalarType type = tensor.scalar_type();
    if (tensor.layout() != c10::kStrided) throw Fault("BAD_ARGUMENT", std::string(what) + ": expected a dense tensor, got a sparse one");
    if (onDevice() && tensor.device() != device()) {
      throw Fault("BAD_ARGUMENT", std::string(what) + ": this group is over nccl and expected a tensor on " + device().str() +
                                      ", got one on " + tensor.device().str() + "; move it there, or make the group with backend \"gloo\"");
    }
    if (writes && at::has_internal_overlap(tensor) == at::MemOverlap::Yes) {
      throw Fault("BAD_ARGUMENT", std::string(what) + ": writes in place, and several elements of this (expanded) tensor share memory; "
                                                      "pass a contiguous copy");
    }
    if (job.collective != Collective::AllReduce) continue;
    const bool minMax = job.reduction == Reduction::Max || job.reduction == Reduction::Min;
    if (!canReduce(type) || (type == at::kBool && !minMax)) {
      throw Fault("BAD_ARGUMENT", std::string("allReduce: no ") + nameOf(job.reduction) + " over tensors of " + engine::nameOf(type) +
                                      (type == at::kBool ? "; use \"max\" for any, \"min\" for all" : ""));
    }
    if (job.reduction == Reduction::Mean && !at::isFloatingType(type)) {
      throw Fault("BAD_ARGUMENT", std::string("allReduce: \"mean\" expected a floating point tensor, got ") + engine::nameOf(type));
    }
  }
}

void Group::submit(const JobPtr& job) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (job->collective == Collective::Close) {
    // What has not begun never will.
    for (const JobPtr& waiting : queue_) {
      waiting->code = "DISTRIBUTED";
      waiting->message = std::string(nameOf(waiting->collective)) + ": the process group was destroyed before it began";
      waiting->done(waiting);
    }
    queue_.clear();
  }
  queue_.push_back(job);
  changed_.notify_all();
}

void Group::abandon() {
  {
    std::unique_lock<std::mutex> lock(mutex_);
    abandoned_ = true;
    changed_.notify_all();
    changed_.wait_for(lock, kGoodbye, [this] { return finished_; });
    if (!finished_) return;
  }
  if (thread_.joinable()) thread_.join();
}

JobPtr Group::next() {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [this] { return abandoned_ || !queue_.empty(); });
  if (abandoned_) return nullptr;
  JobPtr job = queue_.front();
  queue_.pop_front();
  return job;
}

void Group::loop() {
  while (JobPtr job = next()) {
    const bool last = job->collective == Collective::Close;
    if (last) close();
    else execute(*job);
    job->done(job);
    if (last) break;
  }
  close();
  const std::lock_guard<std::mutex> lock(mutex_);
  finished_ = true;
  changed_.notify_all();
}

void Group::execute(Job& job) {
  const std::string where = std::string(nameOf(job.collective)) + " (rank " + std::to_string(options_.rank) + " of " +
                            std::to_string(options_.size) + ", " + options_.backend + "): ";
  if (!failure_.empty()) {
    job.code = "DISTRIBUTED";
    job.message = where + "the group failed before and cannot go on: " + failure_ + ". Destroy it and make a new one on all ranks.";
    return;
  }
  desynced_ = job.collective == Collective::Connect;
  try {
    perform(job);
  } catch (...) {
    const Caught caught = currentException();
    job.code = caught.code == "OUT_OF_MEMORY" || caught.code == "BAD_ARGUMENT" ? caught.code : "DISTRIBUTED";
    const std::string why = explain(caught.message);
    job.message = where + why;
    if (!desynced_) return;
    failure_ = why;
    // The others wait for this rank: closed connections tell them at once.
    close();
  }
}

void Group::perform(Job& job) {
  if (job.collective == Collective::Connect) return connect();
  const c10::OptionalDeviceGuard guard(onDevice() ? c10::optional<c10::Device>(device()) : c10::nullopt);
  desynced_ = true;
  if (options_.check) compare(job);
  switch (job.collective) {
    case Collective::AllReduce: return allReduce(job);
    case Collective::Broadcast: return broadcast(job);
    case Collective::AllGather: return allGather(job);
    default: return barrier();
  }
}

void Group::connect() {
  const auto deadline = Clock::now() + options_.timeout;
  for (;;) {
    try {
      openStore(deadline);
      meet(deadline);
      break;
    } catch (const Retry& why) {
      if (!pause(kRetry, deadline)) throw Fault("DISTRIBUTED", why.what());
    }
  }
  const auto lent = c10::make_intrusive<LentStore>(store_);
  backend_ = onDevice() ? makeNccl(store_, options_) : makeGloo(lent, options_);
  if (!onDevice()) lent->takeBack();
  if (!options_.serve && !onDevice()) store_.reset();
  const auto settings = exchange({options_.size, options_.check ? 1 : 0});
  // Now that all have let go of it, the server may end; and it has ended when the second exchange is over.
  if (!onDevice()) store_.reset();
  exchange({0});
  for (size_t rank = 0; rank < settings.size(); ++rank) {
    if (settings[rank][0] != options_.size || (settings[rank][1] != 0) != options_.check) {
      throw Fault("DISTRIBUTED", "rank " + std::to_string(rank) + " has another world size or another setting of `check`; give all ranks the same");
    }
  }
}

void Group::openStore(std::chrono::steady_clock::time_point deadline) {
  store_.reset();
  c10d::TCPStoreOptions settings;
  settings.port = options_.port;
  settings.isServer = options_.serve;
  settings.numWorkers = static_cast<size_t>(options_.size);
  settings.waitWorkers = false;  // some versions give up waiting without an error: meet() waits
  settings.timeout = until(deadline);
  const std::string where = options_.address + ":" + std::to_string(options_.port);
  try {
    store_ = c10::make_intrusive<c10d::TCPStore>(options_.address, settings);
  } catch (const std::exception&) {
    const std::string why = currentException().message;
    if (options_.serve) throw Fault("DISTRIBUTED", "cannot serve at MASTER_PORT " + std::to_string(options_.port) + ": " + why);
    throw Retry("rank 0 was not found at " + where + " (MASTER_ADDR, MASTER_PORT): " + why);
  }
  if (!options_.prefix.empty()) store_ = c10::make_intrusive<c10d::PrefixStore>(options_.prefix, store_);
}

// False when there is no time left.
bool Group::pause(milliseconds time, std::chrono::steady_clock::time_point deadline) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (abandoned_ || Clock::now() + time >= deadline) return false;
  return !changed_.wait_for(lock, time, [this] { return abandoned_; });
}

// Waits until every rank has come to the store.
void Group::meet(std::chrono::steady_clock::time_point deadline) {
  const auto key = [](int rank) { return "sepc/here/" + std::to_string(rank); };
  std::vector<std::string> keys;
  for (int rank = 0; rank < options_.size; ++rank) keys.push_back(key(rank));
  try {
    if (store_->add(key(options_.rank), 1) > 1) {
      throw Fault("DISTRIBUTED", "another process has come as rank " + std::to_string(options_.rank) + " already; give each its own RANK");
    }
    store_->wait(keys, until(deadline));
  } catch (const Fault&) {
    throw;
  } catch (const std::exception&) {
    const std::string why = currentException().message;
    if (tellsClosed(why)) throw Retry("rank 0 closed the store: " + why);
    std::string missing;
    for (int rank = 0; rank < options_.size; ++rank) {
      if (!store_->check({key(rank)})) missing += (missing.empty() ? "" : ", ") + std::to_string(rank);
    }
    if (missing.empty()) throw;
    throw Fault("DISTRIBUTED", "waited " + seconds(options_.timeout) + " s at " + options_.address + ":" +
                                   std::to_string(options_.port) + " for these ranks, which did not come: " + missing);
  }
}

void Group::close() {
  if (stuck_) {
    // Its destructor would wait for the collective that never ends.
    backend_.release();
    store_.release();
    return;
  }
  try {
    backend_.reset();
    store_.reset();
  } catch (const std::exception&) {
    // Peers that are gone cannot be told good-bye.
  }
}

c10::Device Group::device() const {
  return onDevice() ? c10::Device(at::kCUDA, static_cast<c10::DeviceIndex>(options_.device)) : c10::Device(at::kCPU);
}

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
  const std::vector<int64_t> mine = markOf(job);
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
