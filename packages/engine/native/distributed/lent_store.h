// The store where ranks meet, lent to a backend until they have met.
//
// Gloo needs it for that alone, but holds it as long as it lives. Some versions of c10d keep a thread per client that
// ends the process when the server goes away, and a server that lives on keeps MASTER_PORT; so both end early.
#pragma once
#include <torch/csrc/distributed/c10d/Store.hpp>

#include <string>
#include <utility>
#include <vector>

#include "../errors.h"

namespace engine {

class LentStore : public c10d::Store {
 public:
  using Bytes = std::vector<uint8_t>;
  using Keys = std::vector<std::string>;

  explicit LentStore(c10::intrusive_ptr<c10d::Store> store) : store_(std::move(store)) {}

  void takeBack() { store_.reset(); }

  void set(const std::string& key, const Bytes& value) override { store().set(key, value); }
  Bytes compareSet(const std::string& key, const Bytes& expected, const Bytes& desired) override {
    return store().compareSet(key, expected, desired);
  }
  Bytes get(const std::string& key) override { return store().get(key); }
  int64_t add(const std::string& key, int64_t value) override { return store().add(key, value); }
  bool deleteKey(const std::string& key) override { return store().deleteKey(key); }
  bool check(const Keys& keys) override { return store().check(keys); }
  int64_t getNumKeys() override { return store().getNumKeys(); }
  void wait(const Keys& keys) override { store().wait(keys); }
  void wait(const Keys& keys, const std::chrono::milliseconds& timeout) override { store().wait(keys, timeout); }
  // Overrides a function that only newer versions have.
  virtual c10::intrusive_ptr<c10d::Store> clone() {
    return c10::intrusive_ptr<c10d::Store>::unsafe_reclaim_from_nonowning(this);
  }

 private:
  c10d::Store& store() {
    if (!store_) throw Fault("DISTRIBUTED", "internal: the store is asked for after the ranks have met");
    return *store_;
  }

  c10::intrusive_ptr<c10d::Store> store_;
};

}  // namespace engine
