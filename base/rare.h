// A value that mostly is what it is by default: then it takes the room of a pointer and no more.
//
// Copies are deep, and two are equal if their values are, however they are kept.
#pragma once

#include <memory>
#include <utility>

namespace troupe {

template <class T>
class Rare {
 public:
  Rare() = default;
  Rare(T value) : own_(std::make_unique<T>(std::move(value))) {}
  Rare(const Rare& other) : own_(other.own_ ? std::make_unique<T>(*other.own_) : nullptr) {}
  Rare(Rare&&) noexcept = default;
  Rare& operator=(const Rare& other) {
    if (this != &other) *this = Rare(other);
    return *this;
  }
  Rare& operator=(Rare&&) noexcept = default;
  ~Rare() = default;

  const T& operator*() const { return own_ ? *own_ : Default(); }
  const T* operator->() const { return &**this; }
  // To be written: takes memory, if it has none yet.
  T& Change() {
    if (!own_) own_ = std::make_unique<T>();
    return *own_;
  }
  // Could it be anything but the default?
  explicit operator bool() const { return own_ != nullptr; }

  bool operator==(const Rare& other) const { return **this == *other; }

 private:
  static const T& Default() {
    static const T kDefault{};
    return kDefault;
  }

  std::unique_ptr<T> own_;
};

}  // namespace troupe
