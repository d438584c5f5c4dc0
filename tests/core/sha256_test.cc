#include "base/sha256.h"

#include <string>
#include <string_view>

#include "check.h"

using pocketr1::digest_from_hex;
using pocketr1::Sha256;
using pocketr1::sha256;
using pocketr1::to_hex;

namespace {
std::string hex_of(std::string_view text) { return to_hex(sha256(text.data(), text.size())); }
}  // namespace

// The examples NIST publishes for FIPS 180-4.
TEST(published_vectors) {
  CHECK_EQ(hex_of(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK_EQ(hex_of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK_EQ(hex_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
           "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK_EQ(hex_of("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopq"
                  "klmnopqrlmnopqrsmno"
                  "pqrstnopqrstu"),
           "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
  CHECK_EQ(hex_of(std::string(1'000'000, 'a')),
           "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(pieces_of_any_size_give_the_digest_of_the_whole) {
  std::string text;
  for (int i = 0; i < 300; ++i) text.push_back(static_cast<char>(i * 7));
  for (std::size_t piece = 1; piece < 150; ++piece) {
    Sha256 hash;
    for (std::size_t at = 0; at < text.size(); at += piece) {
      const std::string part = text.substr(at, piece);
      hash.update(part.data(), part.size());
    }
    CHECK_EQ(to_hex(hash.finish()), hex_of(text));
  }
}

TEST(hexadecimal_is_read_back_strictly) {
  const std::string text = hex_of("abc");
  CHECK_EQ(to_hex(*digest_from_hex(text)), text);
  CHECK(!digest_from_hex(text.substr(1)).has_value());
  CHECK(!digest_from_hex(text + "0").has_value());
  CHECK(!digest_from_hex("G" + text.substr(1)).has_value());
  CHECK(!digest_from_hex("B" + text.substr(1)).has_value());
}
