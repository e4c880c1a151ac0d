// What the ranks must agree on before a collective, in numbers that they can exchange.
#pragma once
#include <string>
#include <vector>

#include "group.h"

namespace engine {

using Agreement = std::vector<int64_t>;

// Of the same length for every job.
Agreement agreementOf(const Job& job);
// "allReduce sum of float32 [2, 3]"
std::string describe(const Agreement& agreement);

const char* nameOf(Collective collective);
const char* nameOf(Reduction reduction);

}  // namespace engine
