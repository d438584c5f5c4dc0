// Memory on a 64-byte boundary, freed with its owner. Throws std::bad_alloc.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>

namespace pocketr1 {

template <typename T>
class AlignedBuffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(std::size_t count) { reset(count); }

  // Contents are lost. Only ever grows.
  void reserve(std::size_t count) {
    if (count > size_) reset(count);
  }
  T* data() { return memory_.get(); }
  const T* data() const { return memory_.get(); }
  std::size_t size() const { return size_; }

 private:
  struct Free {
    void operator()(T* p) const { ::operator delete(p, std::align_val_t{64}); }
  };
  void reset(std::size_t count) {
    memory_.reset();
    size_ = 0;
    memory_.reset(static_cast<T*>(::operator new(count * sizeof(T), std::align_val_t{64})));
    size_ = count;
  }
  std::unique_ptr<T, Free> memory_;
  std::size_t size_ = 0;
};

}  // namespace pocketr1
