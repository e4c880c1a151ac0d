// Times and faults as the parts of a process group share them.
#pragma once
#include <algorithm>
#include <chrono>
#include <string>

namespace engine {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// c10d keeps its own time-outs; this much later the group gives up on what still has not ended.
constexpr milliseconds kGrace{5000};

// What is left, and never nothing: c10d takes 0 for "without end".
inline milliseconds until(Clock::time_point deadline) {
  return std::max(milliseconds(1), std::chrono::duration_cast<milliseconds>(deadline - Clock::now()));
}

// "2.5"
inline std::string seconds(milliseconds time) {
  std::string text = std::to_string(static_cast<double>(time.count()) / 1000);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text;
}

// Whether a message of c10d or Gloo speaks of a connection that the other side has closed.
inline bool tellsClosed(const std::string& message) {
  return message.find("Connection reset") != std::string::npos || message.find("Broken pipe") != std::string::npos ||
         message.find("closed") != std::string::npos;
}

}  // namespace engine
