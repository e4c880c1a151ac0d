#include "agreement.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "../convert.h"

namespace engine {

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

namespace {

// Sizes beyond the first eight are in the hash alone.
constexpr size_t kMarkSizes = 8;
enum Mark : size_t { kWhat, kReduction, kRoot, kDtype, kCount, kNumel, kHash, kRank, kSizes };
constexpr size_t kMarkLength = kSizes + kMarkSizes;

int64_t mix(int64_t hash, int64_t value) {
  // FNV-1a over 64-bit words.
  return static_cast<int64_t>((static_cast<uint64_t>(hash) ^ static_cast<uint64_t>(value)) * 1099511628211ULL);
}

}  // namespace

Agreement agreementOf(const Job& job) {
  Agreement mark(kMarkLength, 0);
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

std::string describe(const Agreement& mark) {
  const auto collective = static_cast<Collective>(mark[kWhat]);
  std::string text = nameOf(collective);
  if (collective == Collective::AllReduce) text += std::string(" ") + nameOf(static_cast<Reduction>(mark[kReduction]));
  if (collective == Collective::Broadcast) text += " from rank " + std::to_string(mark[kRoot]);
  if (mark[kCount] == 0) return text;
  if (mark[kCount] > 1) {
    return text + " of " + std::to_string(mark[kCount]) + " tensors with " + std::to_string(mark[kNumel]) + " elements in all";
  }
  text += std::string(" of ") + nameOf(static_cast<at::ScalarType>(mark[kDtype])) + " [";
  for (int64_t i = 0; i < mark[kRank]; ++i) {
    if (i > 0) text += ", ";
    text += i < static_cast<int64_t>(kMarkSizes) ? std::to_string(mark[kSizes + static_cast<size_t>(i)]) : "...";
  }
  return text + "]";
}

}  // namespace engine
