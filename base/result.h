// A value, or the reason there is none.
//
// Result<T> has a subset of std::expected's interface. Status is a Result without a value. Errors
// are for people: the message says what happened, where, and what to do next.
#pragma once

#include <string>
#include <utility>
#include <variant>

#include "base/check.h"

namespace troupe {

enum class ErrorCode {
  Invalid,      // The request, the file or the bytes are wrong.
  NotFound,     // No such thing.
  Locked,       // Another process has it.
  Corrupt,      // What was stored is damaged.
  TooNew,       // Written by a newer version.
  Full,         // No space is left.
  Unresolved,   // A referenced value does not exist.
  Unavailable,  // Nobody answers.
  Io,           // The system refused.
};

struct Error {
  ErrorCode code = ErrorCode::Io;
  std::string message = "";
  bool operator==(const Error&) const = default;
};

template <class T>
class [[nodiscard]] Result {
 public:
  // A value that is made where it stays, for what is dear to move.
  explicit Result(std::in_place_t) : state_(std::in_place_index<0>) {}
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }
  const T& operator*() const& { return value(); }
  T& operator*() & { return value(); }
  T operator*() && { return std::move(value()); }  // By value: safe in a range-for.
  const T* operator->() const { return &value(); }
  T* operator->() { return &value(); }
  const T& value() const {
    CHECK(has_value());
    return std::get<0>(state_);
  }
  T& value() {
    CHECK(has_value());
    return std::get<0>(state_);
  }
  const Error& error() const {
    CHECK(!has_value());
    return std::get<1>(state_);
  }

 private:
  std::variant<T, Error> state_;
};

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Error error) : failed_(true), error_(std::move(error)) {}

  bool has_value() const { return !failed_; }
  explicit operator bool() const { return !failed_; }
  const Error& error() const {
    CHECK(failed_);
    return error_;
  }

 private:
  bool failed_ = false;
  Error error_;
};

}  // namespace troupe
