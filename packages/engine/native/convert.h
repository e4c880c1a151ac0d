// JavaScript values <-> IValues, led by operator schemas.
//
// Values travel through a buffer of 8-byte cells shared with JavaScript (src/wire.ts has the same table): a tag cell,
// then the payload. One Node-API call then carries any number of arguments.
#pragma once
#include <ATen/core/function_schema.h>
#include <ATen/core/ivalue.h>

#include <string>
#include <vector>

#include "state.h"

namespace engine {

enum class Tag : int {
  None = 0,
  Missing = 1,     // take the schema's default
  Tensor = 2,      // handle
  Number = 3,      // float64
  Bool = 4,        // 0 or 1
  String = 5,      // byte length, then the UTF-8 bytes in whole cells
  BigInt = 6,      // int64 bits
  Generator = 7,   // handle
  List = 8,        // count, then tagged values
  NumberList = 9,  // count, then float64 values
  Opaque = 10,     // handle of a value that JavaScript can only pass on
};

// What one argument of a schema accepts.
enum class Kind {
  Tensor, Int, Float, Bool, Number, String, ScalarType, Layout, MemoryFormat, Device, Generator, List, Other,
};

struct ArgumentPlan {
  std::string name;
  Kind kind = Kind::Other;
  bool optional = false;
  Kind element = Kind::Other;  // of a list
  bool optionalElement = false;
  int64_t fixedLength = 0;     // int[2]: one number stands for all
  c10::TypePtr elementType;
  c10::TypePtr type;
  c10::optional<c10::IValue> fallback;
};

ArgumentPlan planArgument(const c10::Argument& argument);

// Reads tagged values from the buffer.
class Reader {
 public:
  explicit Reader(State& state) : state_(state), at_(state.cells()), end_(state.cells() + state.capacity()) {}
  c10::IValue read(const ArgumentPlan& plan);

 private:
  c10::IValue tensor(const ArgumentPlan& plan);
  c10::IValue readKind(Kind kind, Tag tag, const ArgumentPlan& plan);
  c10::IValue readList(Tag tag, const ArgumentPlan& plan);
  c10::IValue readOther(Tag tag, const ArgumentPlan& plan);
  double next();
  Tag nextTag() { return static_cast<Tag>(static_cast<int>(next())); }
  int64_t integer(Tag tag, const ArgumentPlan& plan, const char* expected);
  std::string string();
  size_t count();
  [[noreturn]] void mismatch(Tag tag, const ArgumentPlan& plan, const char* expected);
  std::string describe(Tag tag);

  State& state_;
  const double* at_;
  const double* end_;
};

// Writes results from the start of the buffer, which it grows when needed.
class Writer {
 public:
  explicit Writer(State& state) : state_(state) {}
  void write(const c10::IValue& value);

 private:
  void cell(double value);
  void text(const std::string& value);

  State& state_;
  size_t used_ = 0;
};

// "float32" <-> at::kFloat. Throws Fault for an unknown name.
at::ScalarType scalarTypeOf(const std::string& name);
const char* nameOf(at::ScalarType type);
c10::Device deviceOf(const std::string& name);

}  // namespace engine
