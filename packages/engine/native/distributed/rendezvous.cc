// How the ranks of a process group find each other: over a TCP store that rank 0 (or the launcher) serves.
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <exception>
#include <stdexcept>

#include "../errors.h"
#include "group.h"
#include "lent_store.h"
#include "times.h"

namespace engine {

namespace {
constexpr milliseconds kRetry{500};

// Something of a kind that may go well a little later.
class Retry : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};
}  // namespace

struct Group::Meeting {
  c10::intrusive_ptr<c10d::Store> store;
  c10::intrusive_ptr<Backend> backend;
  std::exception_ptr fault;
  bool over = false;
};

// On a thread of its own: c10d waits without end for a server that takes a connection and never answers.
void Group::connect() {
  const auto deadline = Clock::now() + options_.timeout;
  const auto meeting = std::make_shared<Meeting>();
  std::thread seeker([self = shared_from_this(), meeting, deadline] {
    try {
      self->seek(*meeting, deadline);
    } catch (...) {
      meeting->fault = std::current_exception();
    }
    const std::lock_guard<std::mutex> lock(self->mutex_);
    meeting->over = true;
    self->changed_.notify_all();
  });
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait_until(lock, deadline + kGrace, [&] { return abandoned_ || meeting->over; });
  if (!meeting->over) {
    seeker.detach();
    throw Fault("DISTRIBUTED", "no answer at " + options_.address + ":" + std::to_string(options_.port) + " within " +
                                   seconds(options_.timeout) + " s; does something else than rank 0 listen at MASTER_PORT?");
  }
  lock.unlock();
  seeker.join();
  if (meeting->fault) std::rethrow_exception(meeting->fault);
  store_ = std::move(meeting->store);
  backend_ = std::move(meeting->backend);
  agree();
}

void Group::seek(Meeting& meeting, Clock::time_point deadline) {
  for (;;) {
    try {
      meeting.store = openStore(deadline);
      meet(*meeting.store, deadline);
      break;
    } catch (const Retry& why) {
      meeting.store.reset();
      if (!pause(kRetry, deadline)) throw Fault("DISTRIBUTED", why.what());
    }
  }
  if (onDevice()) {
    meeting.backend = makeNccl(meeting.store, options_);
    return;
  }
  const auto lent = c10::make_intrusive<LentStore>(meeting.store);
  meeting.backend = makeGloo(lent, options_);
  lent->takeBack();
  if (!options_.serve) meeting.store.reset();
}

void Group::agree() {
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

c10::intrusive_ptr<c10d::Store> Group::openStore(Clock::time_point deadline) const {
  c10::intrusive_ptr<c10d::Store> store;
  c10d::TCPStoreOptions settings;
  settings.port = options_.port;
  settings.isServer = options_.serve;
  settings.numWorkers = static_cast<size_t>(options_.size);
  settings.waitWorkers = false;  // some versions give up waiting without an error: meet() waits
  settings.timeout = until(deadline);
  const std::string where = options_.address + ":" + std::to_string(options_.port);
  try {
    store = c10::make_intrusive<c10d::TCPStore>(options_.address, settings);
  } catch (const std::exception&) {
    const std::string why = currentException().message;
    if (options_.serve) throw Fault("DISTRIBUTED", "cannot serve at MASTER_PORT " + std::to_string(options_.port) + ": " + why);
    throw Retry("rank 0 was not found at " + where + " (MASTER_ADDR, MASTER_PORT): " + why);
  }
  if (options_.prefix.empty()) return store;
  return c10::make_intrusive<c10d::PrefixStore>(options_.prefix, store);
}

// False when there is no time left.
bool Group::pause(milliseconds time, Clock::time_point deadline) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (abandoned_ || Clock::now() + time >= deadline) return false;
  return !changed_.wait_for(lock, time, [this] { return abandoned_; });
}

// Waits until every rank has come to the store.
void Group::meet(c10d::Store& store, Clock::time_point deadline) const {
  const auto key = [](int rank) { return "sepc/here/" + std::to_string(rank); };
  std::vector<std::string> keys;
  for (int rank = 0; rank < options_.size; ++rank) keys.push_back(key(rank));
  try {
    if (store.add(key(options_.rank), 1) > 1) {
      throw Fault("DISTRIBUTED", "another process has come as rank " + std::to_string(options_.rank) + " already; give each its own RANK");
    }
    store.wait(keys, until(deadline));
  } catch (const Fault&) {
    throw;
  } catch (const std::exception&) {
    const std::string why = currentException().message;
    if (tellsClosed(why)) throw Retry("rank 0 closed the store: " + why);
    std::string missing;
    for (int rank = 0; rank < options_.size; ++rank) {
      if (!store.check({key(rank)})) missing += (missing.empty() ? "" : ", ") + std::to_string(rank);
    }
    if (missing.empty()) throw;
    throw Fault("DISTRIBUTED", "waited " + seconds(options_.timeout) + " s at " + options_.address + ":" +
                                   std::to_string(options_.port) + " for these ranks, which did not come: " + missing);
  }
}

}  // namespace engine
