// One process group: a thread that carries out collectives in the order they were asked for, so that JavaScript never
// waits unless it wants to, and a peer that is gone costs a time-out, never the process.
#pragma once
#include <ATen/core/Tensor.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "backend.h"

namespace engine {

enum class Collective : int { Connect = 0, AllReduce = 1, Broadcast = 2, AllGather = 3, Barrier = 4, Close = 5 };
enum class Reduction : int { Sum = 0, Mean = 1, Max = 2, Min = 3 };

struct Job;
using JobPtr = std::shared_ptr<Job>;

struct Job {
  Collective collective = Collective::Barrier;
  Reduction reduction = Reduction::Sum;
  int root = 0;
  int64_t bucketBytes = 0;
  std::vector<at::Tensor> tensors;
  std::vector<at::Tensor> results;  // AllGather: `size` for each tensor, allocated by the caller
  std::string code;                 // of the failure; empty: it went well
  std::string message;
  std::function<void(const JobPtr&)> done;  // called once the job is over, on some thread
};

class Group : public std::enable_shared_from_this<Group> {
 public:
  static std::shared_ptr<Group> start(GroupOptions options);
  ~Group();

  const GroupOptions& options() const { return options_; }
  // Throws Fault when the arguments cannot be right on any rank.
  void validate(const Job& job) const;
  void submit(const JobPtr& job);
  // Lets go of everything at once: the environment or the process is going. Waits a little for the thread to end;
  // when it is stuck in a collective, what it uses is left to the operating system.
  void abandon();

 private:
  struct Meeting;

  explicit Group(GroupOptions options) : options_(std::move(options)) {}
  void loop();
  JobPtr next();
  void execute(Job& job);
  void perform(Job& job);
  void connect();
  void seek(Meeting& meeting, std::chrono::steady_clock::time_point deadline);
  c10::intrusive_ptr<c10d::Store> openStore(std::chrono::steady_clock::time_point deadline) const;
  void meet(c10d::Store& store, std::chrono::steady_clock::time_point deadline) const;
  bool pause(std::chrono::milliseconds time, std::chrono::steady_clock::time_point deadline);
  void agree();
  void close();
  void allReduce(Job& job);
  void reduceBucket(const std::vector<at::Tensor>& tensors, at::ScalarType wire, Reduction reduction);
  void broadcast(Job& job);
  void allGather(Job& job);
  void barrier();
  void compare(const Job& job);
  std::vector<std::vector<int64_t>> exchange(const std::vector<int64_t>& mine);
  void await(const c10::intrusive_ptr<c10d::Work>& work);
  void awaitDevice(const c10::intrusive_ptr<c10d::Work>& work);
  at::Tensor flat(const at::Tensor& tensor, at::ScalarType wire) const;
  c10::Device device() const;
  bool onDevice() const { return options_.backend == "nccl"; }

  const GroupOptions options_;
  c10::intrusive_ptr<c10d::Store> store_;
  c10::intrusive_ptr<Backend> backend_;
  bool stuck_ = false;    // a collective never ended: the backend cannot be destroyed without waiting for it
  bool desynced_ = false;  // the failure may have left the ranks in different places
  std::string failure_;   // why the group cannot be used any more

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<JobPtr> queue_;
  uint64_t issued_ = 0;     // collectives given to c10d
  uint64_t completed_ = 0;  // the newest that c10d said is over
  bool abandoned_ = false;
  bool finished_ = false;
  std::thread thread_;
};

}  // namespace engine
