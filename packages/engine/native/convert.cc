#include "convert.h"

#include <ATen/core/List.h>
#include <c10/core/Layout.h>
#include <c10/core/MemoryFormat.h>

#include <cmath>
#include <cstring>
#include <sstream>

#include "errors.h"

namespace engine {

namespace {

constexpr double kLargestSafe = 9007199254740991.0;

Kind kindOf(const c10::TypePtr& type) {
  switch (type->kind()) {
    case c10::TypeKind::TensorType: return Kind::Tensor;
    case c10::TypeKind::IntType:
    case c10::TypeKind::SymIntType: return Kind::Int;
    case c10::TypeKind::FloatType: return Kind::Float;
    case c10::TypeKind::BoolType: return Kind::Bool;
    case c10::TypeKind::NumberType: return Kind::Number;
    case c10::TypeKind::StringType: return Kind::String;
    case c10::TypeKind::ScalarTypeType: return Kind::ScalarType;
    case c10::TypeKind::LayoutType: return Kind::Layout;
    case c10::TypeKind::MemoryFormatType: return Kind::MemoryFormat;
    case c10::TypeKind::DeviceObjType: return Kind::Device;
    case c10::TypeKind::GeneratorType: return Kind::Generator;
    case c10::TypeKind::ListType: return Kind::List;
    default: return Kind::Other;
  }
}

c10::TypePtr withoutOptional(c10::TypePtr type, bool* optional) {
  *optional = type->kind() == c10::TypeKind::OptionalType;
  return *optional ? type->castRaw<c10::OptionalType>()->getElementType() : type;
}

int64_t memoryFormatOf(const std::string& name) {
  if (name == "contiguous") return static_cast<int64_t>(c10::MemoryFormat::Contiguous);
  if (name == "preserve") return static_cast<int64_t>(c10::MemoryFormat::Preserve);
  if (name == "channels_last") return static_cast<int64_t>(c10::MemoryFormat::ChannelsLast);
  if (name == "channels_last_3d") return static_cast<int64_t>(c10::MemoryFormat::ChannelsLast3d);
  throw Fault("BAD_ARGUMENT", "unknown memory format \"" + name +
                              "\"; expected contiguous, preserve, channels_last or channels_last_3d");
}

int64_t layoutOf(const std::string& name) {
  if (name == "strided") return static_cast<int64_t>(c10::Layout::Strided);
  if (name == "sparse_coo") return static_cast<int64_t>(c10::Layout::Sparse);
  if (name == "sparse_csr") return static_cast<int64_t>(c10::Layout::SparseCsr);
  throw Fault("BAD_ARGUMENT", "unknown layout \"" + name + "\"; expected strided, sparse_coo or sparse_csr");
}

int64_t namedInteger(Kind kind, const std::string& name) {
  if (kind == Kind::ScalarType) return static_cast<int64_t>(scalarTypeOf(name));
  if (kind == Kind::Layout) return layoutOf(name);
  return memoryFormatOf(name);
}

bool isInteger(double value) { return std::trunc(value) == value && std::fabs(value) <= kLargestSafe; }

c10::Scalar scalarOf(double value) {
  // JavaScript has one number type: whole numbers become integers, which libtorch promotes where it must.
  if (isInteger(value)) return c10::Scalar(static_cast<int64_t>(value));
  return c10::Scalar(value);
}

size_t cellsOfBytes(size_t bytes) { return (bytes + sizeof(double) - 1) / sizeof(double); }

template <typename T>
c10::IValue repeated(T value, int64_t times) {
  c10::List<T> list;
  list.reserve(times);
  for (int64_t i = 0; i < times; ++i) list.push_back(value);
  return c10::IValue(std::move(list));
}

}  // namespace

ArgumentPlan planArgument(const c10::Argument& argument) {
  ArgumentPlan plan;
  plan.name = argument.name();
  plan.type = withoutOptional(argument.real_type(), &plan.optional);
  plan.kind = kindOf(plan.type);
  plan.fallback = argument.default_value();
  if (plan.kind == Kind::List) {
    plan.fixedLength = argument.N().value_or(0);
    plan.elementType = plan.type->castRaw<c10::ListType>()->getElementType();
    plan.element = kindOf(withoutOptional(plan.elementType, &plan.optionalElement));
  }
  return plan;
}

double Reader::next() {
  if (at_ >= end_) throw Fault("BAD_ARGUMENT", "internal: the argument buffer ended early");
  return *at_++;
}

size_t Reader::count() {
  const double value = next();
  if (!(value >= 0) || value > static_cast<double>(end_ - at_)) {
    throw Fault("BAD_ARGUMENT", "internal: a list in the argument buffer is longer than the buffer");
  }
  return static_cast<size_t>(value);
}

std::string Reader::string() {
  const double bytes = next();
  if (!(bytes >= 0) || bytes > static_cast<double>((end_ - at_) * sizeof(double))) {
    throw Fault("BAD_ARGUMENT", "internal: a string in the argument buffer is longer than the buffer");
  }
  const auto size = static_cast<size_t>(bytes);
  std::string text(reinterpret_cast<const char*>(at_), size);
  at_ += cellsOfBytes(size);
  return text;
}

std::string Reader::describe(Tag tag) {
  std::ostringstream out;
  switch (tag) {
    case Tag::None: return "null";
    case Tag::Missing: return "nothing";
    case Tag::Tensor: return "a Tensor";
    case Tag::Number: out << "number " << next(); return out.str();
    case Tag::Bool: return next() != 0 ? "true" : "false";
    case Tag::String: return "\"" + string() + "\"";
    case Tag::BigInt: return "a bigint";
    case Tag::Generator: return "a Generator";
    case Tag::List:
    case Tag::NumberList: return "a list of " + std::to_string(count()) + " values";
    case Tag::Opaque: return "an opaque value";
  }
  return "an unknown value";
}

void Reader::mismatch(Tag tag, const ArgumentPlan& plan, const char* expected) {
  std::string wanted = *expected != 0 ? expected : plan.type->annotation_str();
  if (plan.optional) wanted += " or null";
  throw Fault("BAD_ARGUMENT", "argument \"" + plan.name + "\": expected " + wanted + ", got " + describe(tag));
}

c10::IValue Reader::read(const ArgumentPlan& plan) {
  const Tag tag = nextTag();
  if (tag == Tag::Missing) {
    if (plan.fallback) return *plan.fallback;
    if (plan.optional) return c10::IValue();
    throw Fault("BAD_ARGUMENT", "argument \"" + plan.name + "\" is missing: expected " + plan.type->annotation_str());
  }
  if (tag == Tag::None && plan.optional) return c10::IValue();
  return plan.kind == Kind::List ? readList(tag, plan) : readKind(plan.kind, tag, plan);
}

int64_t Reader::integer(Tag tag, const ArgumentPlan& plan, const char* expected) {
  if (tag == Tag::BigInt) {
    const double bits = next();
    int64_t value = 0;
    std::memcpy(&value, &bits, sizeof(value));
    return value;
  }
  if (tag != Tag::Number || !isInteger(*at_)) mismatch(tag, plan, expected);
  return static_cast<int64_t>(next());
}

c10::IValue Reader::tensor(const ArgumentPlan& plan) {
  const double handle = next();
  if (!state_.tensors.has(handle)) {
    throw Fault("FREED", "argument \"" + plan.name + "\": the tensor has been freed");
  }
  return state_.tensors.at(static_cast<int32_t>(handle)).tensor;
}

c10::IValue Reader::readKind(Kind kind, Tag tag, const ArgumentPlan& plan) {
  switch (kind) {
    case Kind::Tensor:
      if (tag != Tag::Tensor) mismatch(tag, plan, "a Tensor");
      return tensor(plan);
    case Kind::Int: return integer(tag, plan, "an integer");
    case Kind::Float:
      if (tag != Tag::Number) mismatch(tag, plan, "a number");
      return next();
    case Kind::Bool:
      if (tag != Tag::Bool) mismatch(tag, plan, "a boolean");
      return next() != 0;
    case Kind::Number:
      if (tag == Tag::Bool) return next() != 0;
      if (tag == Tag::BigInt) return integer(tag, plan, "a number");
      if (tag != Tag::Number) mismatch(tag, plan, "a number");
      return scalarOf(next());
    case Kind::String:
      if (tag != Tag::String) mismatch(tag, plan, "a string");
      return string();
    case Kind::ScalarType:
      if (tag != Tag::String) mismatch(tag, plan, "a dtype such as \"float32\"");
      return namedInteger(kind, string());
    case Kind::Layout:
      if (tag != Tag::String) mismatch(tag, plan, "a layout such as \"strided\"");
      return namedInteger(kind, string());
    case Kind::MemoryFormat:
      if (tag != Tag::String) mismatch(tag, plan, "a memory format such as \"channels_last\"");
      return namedInteger(kind, string());
    case Kind::Device:
      if (tag != Tag::String) mismatch(tag, plan, "a device such as \"cpu\" or \"cuda:0\"");
      return deviceOf(string());
    case Kind::Generator: {
      if (tag != Tag::Generator) mismatch(tag, plan, "a Generator");
      const double handle = next();
      if (!state_.generators.has(handle)) throw Fault("FREED", "argument \"" + plan.name + "\": freed Generator");
      return state_.generators.at(static_cast<int32_t>(handle));
    }
    case Kind::List:
    case Kind::Other: return readOther(tag, plan);
  }
  mismatch(tag, plan, "");
}

c10::IValue Reader::readList(Tag tag, const ArgumentPlan& plan) {
  // Schemas write int[2]: one value stands for all.
  if (plan.fixedLength > 0 && plan.element == Kind::Int && (tag == Tag::Number || tag == Tag::BigInt)) {
    return repeated(integer(tag, plan, "an integer or a list of integers"), plan.fixedLength);
  }
  if (plan.fixedLength > 0 && plan.element == Kind::Float && tag == Tag::Number) {
    return repeated(next(), plan.fixedLength);
  }
  if (tag == Tag::NumberList && plan.element == Kind::Int) {
    c10::List<int64_t> list;
    const size_t size = count();
    list.reserve(size);
    for (size_t i = 0; i < size; ++i) list.push_back(integer(Tag::Number, plan, "a list of integers"));
    return list;
  }
  if (tag == Tag::NumberList && plan.element == Kind::Float) {
    c10::List<double> list;
    const size_t size = count();
    list.reserve(size);
    for (size_t i = 0; i < size; ++i) list.push_back(next());
    return list;
  }
  if (tag != Tag::List && tag != Tag::NumberList) mismatch(tag, plan, "");
  const size_t size = count();
  c10::impl::GenericList list(plan.elementType);
  list.reserve(size);
  for (size_t i = 0; i < size; ++i) {
    const Tag element = tag == Tag::NumberList ? Tag::Number : nextTag();
    if (element == Tag::None && plan.optionalElement) list.push_back(c10::IValue());
    else list.push_back(readKind(plan.element, element, plan));
  }
  return c10::IValue(std::move(list));
}

// Types that few operators have: complex numbers, nested lists, script objects.
c10::IValue Reader::readOther(Tag tag, const ArgumentPlan& plan) {
  switch (tag) {
    case Tag::None: return c10::IValue();
    case Tag::Tensor: return tensor(plan);
    case Tag::Number: return next();
    case Tag::Bool: return next() != 0;
    case Tag::String: return string();
    case Tag::Opaque: {
      const double handle = next();
      if (!state_.opaques.has(handle)) throw Fault("FREED", "argument \"" + plan.name + "\": freed value");
      return state_.opaques.at(static_cast<int32_t>(handle));
    }
    default: mismatch(tag, plan, "");
  }
}

void Writer::cell(double value) {
  if (used_ + 1 > state_.capacity()) state_.growBuffer(used_ + 1);
  state_.cells()[used_++] = value;
}

void Writer::text(const std::string& value) {
  const size_t cells = cellsOfBytes(value.size());
  cell(static_cast<double>(value.size()));
  if (used_ + cells > state_.capacity()) state_.growBuffer(used_ + cells);
  std::memcpy(state_.cells() + used_, value.data(), value.size());
  used_ += cells;
}

void Writer::write(const c10::IValue& value) {
  const auto tagged = [this](Tag tag, double payload) {
    cell(static_cast<double>(tag));
    cell(payload);
  };
  if (value.isNone()) return cell(static_cast<double>(Tag::None));
  if (value.isTensor()) {
    const int32_t handle = state_.addTensor(value.toTensor());
    return handle < 0 ? cell(static_cast<double>(Tag::None)) : tagged(Tag::Tensor, handle);
  }
  if (value.isDouble()) return tagged(Tag::Number, value.toDouble());
  if (value.isBool()) return tagged(Tag::Bool, value.toBool() ? 1 : 0);
  if (value.isInt()) {
    const int64_t integer = value.toInt();
    if (std::fabs(static_cast<double>(integer)) <= kLargestSafe) return tagged(Tag::Number, static_cast<double>(integer));
    double bits = 0;
    std::memcpy(&bits, &integer, sizeof(bits));
    return tagged(Tag::BigInt, bits);
  }
  if (value.isString()) {
    cell(static_cast<double>(Tag::String));
    return text(value.toStringRef());
  }
  if (value.isDevice()) {
    cell(static_cast<double>(Tag::String));
    return text(value.toDevice().str());
  }
  if (value.isList() || value.isTuple()) {
    const auto elements = value.isList() ? value.toListRef().vec() : std::vector<c10::IValue>(value.toTupleRef().elements().begin(), value.toTupleRef().elements().end());
    tagged(Tag::List, static_cast<double>(elements.size()));
    for (const c10::IValue& element : elements) write(element);
    return;
  }
  tagged(Tag::Opaque, state_.opaques.add(value));
}

}  // namespace engine
