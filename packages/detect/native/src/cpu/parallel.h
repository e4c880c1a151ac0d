// Runs independent tasks on the threads that libtorch is set to use.
//
// at::parallel_for is not used: its header starts threads only where this library is built with the same OpenMP as
// libtorch, splits into equal ranges, and gives no slot for scratch memory. Here tasks are handed out one by one;
// results do not depend on who runs which. Without OpenMP (Apple's clang) plain threads do the work.
#pragma once

#include <ATen/Parallel.h>

#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>

#if !defined(_OPENMP)
#include <thread>
#include <vector>
#endif

namespace sepc {
namespace cpu {

/** Threads worth starting for `tasks` tasks: 1 inside another parallel region. */
inline int64_t worker_count(int64_t tasks) {
  if (tasks <= 1 || at::in_parallel_region()) return 1;
  const int64_t threads = at::get_num_threads();
  return tasks < threads ? tasks : threads;
}

/** The same for tasks that together pass over `elements` values: waking a thread costs as much as some ten thousand. */
inline int64_t worker_count(int64_t tasks, int64_t elements) {
  return elements < int64_t(1) << 15 ? 1 : worker_count(tasks);
}

/** Calls work(task, slot) for each task < tasks; slot < workers names the thread. Rethrows the first exception. */
template <class Work>
void run_tasks(int64_t tasks, int64_t workers, const Work& work) {
  if (workers <= 1) {
    for (int64_t task = 0; task < tasks; ++task) work(task, int64_t(0));
    return;
  }
  std::atomic<int64_t> next{0};
  std::exception_ptr error;
  std::mutex guard;
  const auto serve = [&](int64_t slot) {
    try {
      for (int64_t task = next++; task < tasks; task = next++) work(task, slot);
    } catch (...) {
      const std::lock_guard<std::mutex> lock(guard);
      if (!error) error = std::current_exception();
      next = tasks;
    }
  };
#if defined(_OPENMP)
  std::atomic<int64_t> slots{0};
#pragma omp parallel num_threads(static_cast<int>(workers))
  serve(slots++);
#else
  std::vector<std::thread> others;
  for (int64_t slot = 1; slot < workers; ++slot) others.emplace_back(serve, slot);
  serve(0);
  for (std::thread& other : others) other.join();
#endif
  if (error) std::rethrow_exception(error);
}

}  // namespace cpu
}  // namespace sepc
