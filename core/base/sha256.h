// SHA-256 (FIPS 180-4).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pocketr1 {

using Sha256Digest = std::array<std::uint8_t, 32>;

class Sha256 {
 public:
  void update(const void* data, std::size_t size);
  // The digest of everything given so far. The object must not be used after it.
  Sha256Digest finish();

 private:
  void compress(const std::uint8_t* block);

  std::array<std::uint32_t, 8> state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::uint8_t, 64> pending_{};
  std::uint64_t size_ = 0;  // bytes given so far
};

Sha256Digest sha256(const void* data, std::size_t size);

// 64 lower-case hexadecimal digits; nothing else is read back.
std::string to_hex(const Sha256Digest& digest);
std::optional<Sha256Digest> digest_from_hex(std::string_view text);

}  // namespace pocketr1
