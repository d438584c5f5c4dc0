// The core's test harness, used as
//   TEST(name) { CHECK(...); CHECK_EQ(a, b); CHECK_ERROR(statement, "code"); }
// One executable per *_test.cc file; its last line is "N passed, N failed".
#pragma once

#include <cstdio>
#include <cstring>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "base/error.h"

namespace pocketr1::test {

struct Case {
  const char* name;
  void (*body)();
};

inline std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}

struct Register {
  Register(const char* name, void (*body)()) { cases().push_back({name, body}); }
};

inline bool& current_failed() {
  static bool failed = false;
  return failed;
}

inline void fail(const char* file, int line, const std::string& what) {
  std::cout << file << ":" << line << ": " << what << "\n";
  current_failed() = true;
}

}  // namespace pocketr1::test

#define TEST(name)                                                             \
  static void test_##name();                                                   \
  static const ::pocketr1::test::Register register_##name{#name, test_##name}; \
  static void test_##name()

#define CHECK(condition)                                                                   \
  do {                                                                                     \
    if (!(condition)) ::pocketr1::test::fail(__FILE__, __LINE__, "not true: " #condition); \
  } while (false)

#define CHECK_EQ(left, right)                                                         \
  do {                                                                                \
    const auto& check_left = (left);                                                  \
    const auto& check_right = (right);                                                \
    if (!(check_left == check_right)) {                                               \
      ::pocketr1::test::fail(__FILE__, __LINE__, "not equal: " #left " and " #right); \
      std::cout << "  left " << check_left << ", right " << check_right << "\n";      \
    }                                                                                 \
  } while (false)

#define CHECK_ERROR(statement, expected)                                                           \
  do {                                                                                             \
    try {                                                                                          \
      statement;                                                                                   \
      ::pocketr1::test::fail(__FILE__, __LINE__, "no error from " #statement);                     \
    } catch (const ::pocketr1::Error& error) {                                                     \
      if (error.code() != (expected))                                                              \
        ::pocketr1::test::fail(__FILE__, __LINE__, "error " + error.code() + ": " + error.what()); \
    }                                                                                              \
  } while (false)

int main(int argc, char** argv) {
  int passed = 0;
  int failed = 0;
  for (const auto& test : ::pocketr1::test::cases()) {
    if (argc > 1 && std::strstr(test.name, argv[1]) == nullptr) continue;
    ::pocketr1::test::current_failed() = false;
    try {
      test.body();
    } catch (const std::exception& error) {
      ::pocketr1::test::fail(__FILE__, __LINE__,
                             std::string("unexpected exception: ") + error.what());
    }
    const bool bad = ::pocketr1::test::current_failed();
    if (bad) std::cout << "FAILED " << test.name << "\n";
    ++(bad ? failed : passed);
  }
  std::cout << passed << " passed, " << failed << " failed\n";
  return failed == 0 ? 0 : 1;
}
