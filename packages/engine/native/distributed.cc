#include "distributed.h"

#include "errors.h"

#if ENGINE_C10D

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "distributed/group.h"
#include "state.h"

namespace engine {

namespace {

// Collectives that are over, on their way from the groups' threads to the JavaScript thread of one environment.
class Channel {
 public:
  struct Over {
    napi_deferred deferred;
    JobPtr job;
  };

  void open(Napi::Env env);
  bool isOpen() const { return function_ != nullptr; }
  // On the JavaScript thread. While a promise is pending the event loop stays alive.
  void expect(napi_env env);
  void post(napi_deferred deferred, const JobPtr& job);
  void close();

 private:
  static void deliver(napi_env env, napi_value, void* context, void*);
  static void settle(napi_env env, const Over& over);

  std::mutex mutex_;
  bool closed_ = false;
  napi_threadsafe_function function_ = nullptr;
  std::vector<Over> over_;
  size_t pending_ = 0;  // JavaScript thread only
};

using ChannelPtr = std::shared_ptr<Channel>;

// Process groups of one environment.
struct Groups {
  ChannelPtr channel = std::make_shared<Channel>();
  std::vector<std::shared_ptr<Group>> list;
};

// All groups of the process. process.exit() runs no clean-up of environments: groups that still live then are let go
// before libtorch's own static objects end under their threads.
class Everyone {
 public:
  void add(const std::shared_ptr<Group>& group) {
    const std::lock_guard<std::mutex> lock(mutex_);
    groups_.erase(std::remove_if(groups_.begin(), groups_.end(), [](const auto& held) { return held.expired(); }), groups_.end());
    groups_.push_back(group);
  }
  ~Everyone() {
    for (const auto& held : groups_) {
      if (const auto group = held.lock()) group->abandon();
    }
  }

 private:
  std::mutex mutex_;
  std::vector<std::weak_ptr<Group>> groups_;
};

Everyone everyone;

Napi::Array handlesOf(Napi::Env env, const std::vector<at::Tensor>& tensors) {
  Napi::Array handles = Napi::Array::New(env, tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) handles.Set(static_cast<uint32_t>(i), State::of(env).addTensor(tensors[i]));
  return handles;
}

void Channel::open(Napi::Env env) {
  if (isOpen()) return;
  const Napi::String name = Napi::String::New(env, "sepc process group");
  napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, this, deliver, &function_);
  napi_unref_threadsafe_function(env, function_);
}

void Channel::expect(napi_env env) {
  if (pending_++ == 0) napi_ref_threadsafe_function(env, function_);
}

void Channel::post(napi_deferred deferred, const JobPtr& job) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (closed_) return;
  over_.push_back({deferred, job});
  napi_call_threadsafe_function(function_, nullptr, napi_tsfn_nonblocking);
}

void Channel::close() {
  const std::lock_guard<std::mutex> lock(mutex_);
  closed_ = true;
  over_.clear();
}

void Channel::deliver(napi_env env, napi_value, void* context, void*) {
  if (env == nullptr) return;
  auto* self = static_cast<Channel*>(context);
  std::vector<Over> over;
  {
    const std::lock_guard<std::mutex> lock(self->mutex_);
    over.swap(self->over_);
  }
  for (const Over& each : over) {
    settle(env, each);
    if (--self->pending_ == 0) napi_unref_threadsafe_function(env, self->function_);
  }
}

void Channel::settle(napi_env env, const Over& over) {
  try {
    if (over.job->code.empty()) {
      napi_resolve_deferred(env, over.deferred, handlesOf(env, over.job->results));
      return;
    }
    Napi::Error error = Napi::Error::New(env, over.job->message);
    error.Set("code", Napi::String::New(env, over.job->code));
    napi_reject_deferred(env, over.deferred, error.Value());
  } catch (const std::exception&) {
    // The environment is ending.
  }
}

Groups& groupsOf(const Napi::CallbackInfo& info) { return *static_cast<Groups*>(info.Data()); }

std::shared_ptr<Group> groupArgument(const Napi::CallbackInfo& info) {
  const auto& list = groupsOf(info).list;
  const auto id = info[0].As<Napi::Number>().Uint32Value();
  if (id >= list.size() || list[id] == nullptr) throw Fault("DISTRIBUTED", "the process group has been destroyed");
  return list[id];
}

// groupSupport(backend) -> "" when this backend can be used, else why not
Napi::Value groupSupport(const Napi::CallbackInfo& info) {
  const std::string backend = info[0].As<Napi::String>();
  return Napi::String::New(info.Env(), backend == "nccl" ? ncclSupport() : "");
}

void letGo(void* data) {
  auto* groups = static_cast<Groups*>(data);
  groups->channel->close();
  for (const auto& group : groups->list) {
    if (group != nullptr) group->abandon();
  }
}

GroupOptions optionsOf(const Napi::Object& from) {
  GroupOptions options;
  options.backend = from.Get("backend").As<Napi::String>();
  options.address = from.Get("address").As<Napi::String>();
  options.port = static_cast<uint16_t>(from.Get("port").As<Napi::Number>().Uint32Value());
  options.rank = from.Get("rank").As<Napi::Number>().Int32Value();
  options.size = from.Get("size").As<Napi::Number>().Int32Value();
  options.device = from.Get("device").As<Napi::Number>().Int32Value();
  options.timeout = std::chrono::milliseconds(from.Get("timeout").As<Napi::Number>().Int64Value());
  options.check = from.Get("check").As<Napi::Boolean>();
  options.serve = from.Get("serve").As<Napi::Boolean>();
  options.prefix = from.Get("prefix").As<Napi::String>();
  const auto interfaces = from.Get("interfaces").As<Napi::Array>();
  for (uint32_t i = 0; i < interfaces.Length(); ++i) options.interfaces.push_back(interfaces.Get(i).As<Napi::String>());
  return options;
}

// groupCreate(options) -> id of a group that has not connected yet
Napi::Value groupCreate(const Napi::CallbackInfo& info) {
  Groups& groups = groupsOf(info);
  if (!groups.channel->isOpen()) {
    groups.channel->open(info.Env());
    // Hooks run last first: this one before the channel's function ends.
    napi_add_env_cleanup_hook(info.Env(), letGo, &groups);
  }
  const auto group = Group::start(optionsOf(info[0].As<Napi::Object>()));
  everyone.add(group);
  groups.list.push_back(group);
  return Napi::Number::New(info.Env(), static_cast<double>(groups.list.size() - 1));
}

JobPtr jobOf(const Napi::CallbackInfo& info, const Group& group) {
  State& state = State::of(info.Env());
  auto job = std::make_shared<Job>();
  job->collective = static_cast<Collective>(info[1].As<Napi::Number>().Int32Value());
  const auto handles = info[2].As<Napi::Array>();
  job->reduction = static_cast<Reduction>(info[3].As<Napi::Number>().Int32Value());
  job->root = info[4].As<Napi::Number>().Int32Value();
  job->bucketBytes = info[5].As<Napi::Number>().Int64Value();
  for (uint32_t i = 0; i < handles.Length(); ++i) {
    job->tensors.push_back(state.tensor(handles.Get(i).As<Napi::Number>().DoubleValue(), "process group").detach());
  }
  group.validate(*job);
  for (const at::Tensor& tensor : job->tensors) {
    if (job->collective != Collective::AllGather) {
      // A backward pass that needs the values as they were must not take the new ones for them.
      if (!tensor.is_inference()) tensor.unsafeGetTensorImpl()->bump_version();
      continue;
    }
    const c10::InferenceMode mode(false);  // c10d writes them outside of it
    for (int rank = 0; rank < group.options().size; ++rank) {
      job->results.push_back(at::empty(tensor.sizes(), tensor.options()));
    }
  }
  return job;
}

Napi::Value runAndWait(Napi::Env env, Group& group, const JobPtr& job) {
  std::mutex mutex;
  std::condition_variable over;
  bool isOver = false;
  job->done = [&](const JobPtr&) {
    const std::lock_guard<std::mutex> lock(mutex);
    isOver = true;
    over.notify_one();
  };
  group.submit(job);
  std::unique_lock<std::mutex> lock(mutex);
  over.wait(lock, [&] { return isOver; });
  if (job->code.empty()) return handlesOf(env, job->results);
  Napi::Error error = Napi::Error::New(env, job->message);
  error.Set("code", Napi::String::New(env, job->code));
  throw error;
}

// groupRun(id, collective, handles, reduction, root, bucketBytes, wait) -> handles of the results, or a promise of them
Napi::Value groupRun(const Napi::CallbackInfo& info) {
  const auto group = groupArgument(info);
  const JobPtr job = jobOf(info, *group);
  if (info[6].As<Napi::Boolean>()) return runAndWait(info.Env(), *group, job);
  napi_deferred deferred = nullptr;
  napi_value promise = nullptr;
  if (napi_create_promise(info.Env(), &deferred, &promise) != napi_ok) throw Napi::Error::New(info.Env());
  const ChannelPtr channel = groupsOf(info).channel;
  channel->expect(info.Env());
  job->done = [channel, deferred](const JobPtr& over) { channel->post(deferred, over); };
  group->submit(job);
  return Napi::Value(info.Env(), promise);
}

// groupForget(id): after a Close job, lets go of what is left
Napi::Value groupForget(const Napi::CallbackInfo& info) {
  groupArgument(info)->abandon();
  groupsOf(info).list[info[0].As<Napi::Number>().Uint32Value()] = nullptr;
  return info.Env().Undefined();
}

}  // namespace

void exportDistributed(Napi::Env env, Napi::Object exports) {
  auto* groups = new Groups();
  napi_add_env_cleanup_hook(env, [](void* data) { delete static_cast<Groups*>(data); }, groups);
  exports.Set("groupSupport", Napi::Function::New<guarded<groupSupport>>(env, "groupSupport", groups));
  exports.Set("groupCreate", Napi::Function::New<guarded<groupCreate>>(env, "groupCreate", groups));
  exports.Set("groupRun", Napi::Function::New<guarded<groupRun>>(env, "groupRun", groups));
  exports.Set("groupForget", Napi::Function::New<guarded<groupForget>>(env, "groupForget", groups));
}

}  // namespace engine

#else

namespace engine {

namespace {
Napi::Value groupSupport(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), "libtorch " LIBTORCH_VERSION
                                       " has no process groups: it was built without c10d or without Gloo; "
                                       "use the official libtorch (npx sepc setup) or Debian's and Ubuntu's libtorch-dev");
}
}  // namespace

void exportDistributed(Napi::Env env, Napi::Object exports) {
  exports.Set("groupSupport", Napi::Function::New<guarded<groupSupport>>(env));
}

}  // namespace engine

#endif
