#include "group.h"

#include <ATen/ATen.h>
#include <ATen/MemoryOverlap.h>
#include <c10/core/DeviceGuard.h>

#include <utility>

#include "../convert.h"
#include "../errors.h"
#include "agreement.h"
#include "times.h"

namespace engine {

namespace {

// How long a group that is let go may take to close its connections.
constexpr milliseconds kGoodbye{500};

bool canReduce(at::ScalarType type) {
  switch (type) {
    case at::kFloat: case at::kDouble: case at::kHalf: case at::kBFloat16: case at::kByte: case at::kChar:
    case at::kShort: case at::kInt: case at::kLong: case at::kBool:
      return true;
    default:
      return false;
  }
}

// Gloo's message in the words of who asked for a collective.
std::string explain(std::string message) {
  message = message.substr(0, message.find(" This is typically caused by"));
  return tellsClosed(message) ? "another rank has ended or left the group: " + message : message;
}

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
      throw Fault("BAD_ARGUMENT", std::string("allReduce: no ") + nameOf(job.reduction) + " over tensors of " + nameOf(type) +
                                      (type == at::kBool ? "; use \"max\" for any, \"min\" for all" : ""));
    }
    if (job.reduction == Reduction::Mean && !at::isFloatingType(type)) {
      throw Fault("BAD_ARGUMENT", std::string("allReduce: \"mean\" expected a floating point tensor, got ") + nameOf(type));
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

}  // namespace engine
