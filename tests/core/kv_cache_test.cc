// CheckedPages that sequences share, against sequences that share nothing.
#include "model/kv_cache.h"

#include <iterator>
#include <map>

#include "check.h"
#include "session/session.h"
#include "toy_model.h"

using namespace pocketr1;

namespace {

using Tokens = std::vector<std::int32_t>;
using Logits = std::vector<float>;

// Sequences as the cache should hold them; a token is written as a byte of its page for each slot.
class CheckedPages {
 public:
  KvCache cache{test::toy_spec({}), KvFormat::f16, 400};
  std::map<std::int32_t, std::vector<std::uint8_t>> plain;

  void extend(std::int32_t id, std::size_t count, bool keep, std::mt19937& random) {
    const std::size_t before = plain[id].size();
    cache.reserve(id, before + count);
    for (std::size_t at = before; at < before + count; ++at) {
      const auto byte = static_cast<std::uint8_t>(random() >> 24);
      std::memset(slot(id, at), byte, 8);
      if (keep) plain[id].push_back(byte);
    }
    if (keep) {
      cache.commit(id, before + count);
    } else {
      cache.truncate(id, before);  // as a step that failed does
    }
  }

  // Every token is where it was written, and every page is counted as often as it is used.
  void check() {
    std::map<const std::uint8_t*, std::size_t> users;
    for (const auto& [id, bytes] : plain) {
      CHECK_EQ(cache.length(id), bytes.size());
      for (std::size_t at = 0; at < bytes.size(); ++at) {
        const std::uint8_t* written = slot(id, at);
        if (written[0] != bytes[at] || written[7] != bytes[at]) CHECK(false);
      }
      const std::size_t count = (bytes.size() + kPageTokens - 1) / kPageTokens;
      for (std::size_t page = 0; page < count; ++page) ++users[cache.pages(id)[page]];
    }
    for (const auto& [page, count] : users) CHECK_EQ(cache.references(page), count);
    CHECK_EQ((users.size() + cache.free_pages()) * cache.page_bytes(), cache.bytes());
  }

 private:
  // Slots lie spread over the page, the last behind its middle.
  std::uint8_t* slot(std::int32_t id, std::size_t at) {
    return cache.pages(id)[at / kPageTokens] + at % kPageTokens * (cache.page_bytes() / 64);
  }
};

std::int32_t any(const std::map<std::int32_t, std::vector<std::uint8_t>>& of,
                 std::mt19937& random) {
  return std::next(of.begin(), static_cast<std::ptrdiff_t>(random() % of.size()))->first;
}

// The last token's logits, the tokens being run in one step; stops at `layer` where that is not -1.
Logits feed(Session& session, std::int32_t sequence, std::span<const std::int32_t> tokens,
            int layer = -1) {
  std::vector<Row> rows;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    rows.push_back({sequence, session.length(sequence) + i, tokens[i], nullptr});
  }
  Logits logits(session.model().spec().vocab_size);
  StepOptions options;
  options.progress = [&](std::size_t at, std::size_t) { return static_cast<int>(at) != layer; };
  const std::size_t last = tokens.size() - 1;
  session.step(rows, {&last, 1}, logits.data(), options);
  return logits;
}

Tokens some_tokens(std::size_t n, std::mt19937& random) {
  Tokens out(n);
  for (std::int32_t& token : out) token = static_cast<std::int32_t>(random() % 203);
  return out;
}

std::vector<std::uint8_t> whole_pages(Session& session, std::int32_t id) {
  std::vector<std::uint8_t> out(session.length(id) / kPageTokens * session.page_bytes());
  session.read_pages(id, 0, out);
  return out;
}

}  // namespace

TEST(random_branches_extensions_and_rollbacks_keep_every_token_and_lose_no_page) {
  std::mt19937 random(3);
  CheckedPages pages;
  std::size_t forks = 0;
  std::size_t shared = 0;
  for (int turn = 0; turn < 20000; ++turn) {
    const std::uint32_t what = random() % 16;
    if (pages.plain.empty() || (what == 0 && pages.plain.size() < 12)) {
      pages.plain[pages.cache.create()];
      continue;
    }
    const std::int32_t id = any(pages.plain, random);
    const std::size_t length = pages.plain[id].size();
    if (what < 4 && pages.plain.size() < 12) {
      const std::size_t kept = random() % (length + 1);
      const std::size_t bytes = pages.cache.bytes();
      const std::int32_t fork = pages.cache.fork(id, kept);
      CHECK_EQ(pages.cache.bytes(), bytes);
      const auto end = pages.plain[id].begin() + static_cast<std::ptrdiff_t>(kept);
      pages.plain[fork] = {pages.plain[id].begin(), end};
      ++forks;
      shared += kept > 0;
    } else if (what < 9) {
      const std::size_t count = std::min<std::size_t>(1 + random() % 90, 400 - length);
      pages.extend(id, count, random() % 5 != 0, random);
    } else if (what < 12) {
      const std::size_t kept = random() % (length + 1);
      pages.cache.truncate(id, kept);
      pages.plain[id].resize(kept);
    } else if (what < 14) {
      pages.cache.free(id);
      pages.plain.erase(id);
    } else if (what == 14) {
      const std::size_t free = pages.cache.free_pages();
      CHECK_EQ(pages.cache.trim(), free * pages.cache.page_bytes());
      CHECK_EQ(pages.cache.free_pages(), 0u);
    }
    pages.check();
  }
  CHECK(forks > 1000 && shared > 1000);
  while (!pages.plain.empty()) {
    pages.cache.free(pages.plain.begin()->first);
    pages.plain.erase(pages.plain.begin());
  }
  pages.check();
  const std::size_t taken = pages.cache.bytes();
  CHECK_EQ(pages.cache.trim(), taken);
  CHECK_EQ(pages.cache.bytes(), 0u);
}

TEST(sequences_that_share_pages_answer_as_sequences_that_share_nothing) {
  for (KvFormat format : {KvFormat::f32, KvFormat::f16, KvFormat::int8}) {
    std::mt19937 random(7);
    const auto model = test::toy_model();
    Session session(model, {2, 300, format, ""});
    Session plain(model, {1, 300, format, ""});  // its sequences are computed one by one
    struct Pair {
      std::int32_t sharing, alone;
      Tokens tokens;
    };
    std::vector<Pair> pairs;
    std::size_t cancelled = 0;
    std::size_t carried = 0;
    for (int turn = 0; turn < 1500; ++turn) {
      const std::uint32_t what = random() % 16;
      if (pairs.empty() || (what == 0 && pairs.size() < 10)) {
        pairs.push_back({session.create_sequence(), plain.create_sequence(), {}});
        continue;
      }
      const std::size_t chosen = random() % pairs.size();
      const Pair pair = pairs[chosen];
      const std::size_t length = pair.tokens.size();
      if (what < 4 && pairs.size() < 10) {
        const std::size_t kept = random() % (length + 1);
        const std::size_t bytes = session.kv_bytes();
        Pair fork{session.fork_sequence(pair.sharing, kept), plain.create_sequence(), {}};
        CHECK_EQ(session.kv_bytes(), bytes);
        fork.tokens.assign(pair.tokens.begin(),
                           pair.tokens.begin() + static_cast<std::ptrdiff_t>(kept));
        if (kept > 0) feed(plain, fork.alone, fork.tokens);
        pairs.push_back(fork);
      } else if (what < 10 && length < 300) {
        const std::size_t count = std::min<std::size_t>(1 + random() % 40, 300 - length);
        const Tokens more = some_tokens(count, random);
        if (random() % 4 == 0) {
          const int layer = static_cast<int>(random() % 2);
          CHECK_ERROR(feed(session, pair.sharing, more, layer), "cancelled");
          ++cancelled;
        } else {
          CHECK(feed(session, pair.sharing, more) == feed(plain, pair.alone, more));
          pairs[chosen].tokens.insert(pairs[chosen].tokens.end(), more.begin(), more.end());
        }
      } else if (what < 12) {
        const std::size_t kept = random() % (length + 1);
        session.truncate(pair.sharing, kept);
        plain.truncate(pair.alone, kept);
        pairs[chosen].tokens.resize(kept);
      } else if (what == 12) {
        session.free_sequence(pair.sharing);
        plain.free_sequence(pair.alone);
        pairs.erase(pairs.begin() + static_cast<std::ptrdiff_t>(chosen));
      } else if (what == 13) {
        session.trim_pages();
      } else if (what == 14) {
        CHECK(whole_pages(session, pair.sharing) == whole_pages(plain, pair.alone));
      } else if (what == 15 && length >= kPageTokens && pairs.size() < 10) {
        // A page carried by its bytes, behind pages that are shared.
        const std::size_t have = random() % (length / kPageTokens);
        std::vector<std::uint8_t> page(session.page_bytes());
        session.read_pages(pair.sharing, have, page);
        Pair made{
            session.fork_sequence(pair.sharing, have * kPageTokens), plain.create_sequence(), {}};
        session.append_pages(made.sharing, page);
        const auto end =
            pair.tokens.begin() + static_cast<std::ptrdiff_t>((have + 1) * kPageTokens);
        made.tokens.assign(pair.tokens.begin(), end);
        feed(plain, made.alone, made.tokens);
        pairs.push_back(made);
        ++carried;
      }
      for (const Pair& each : pairs) CHECK_EQ(session.length(each.sharing), each.tokens.size());
    }
    CHECK(cancelled > 20 && carried > 5);
    for (const Pair& pair : pairs) session.free_sequence(pair.sharing);
    const std::size_t taken = session.kv_bytes();
    CHECK_EQ(session.trim_pages(), taken);
    CHECK_EQ(session.kv_bytes(), 0u);
  }
}

TEST(a_fork_costs_one_page_once_one_of_the_two_goes_on) {
  std::mt19937 random(1);
  Session session(test::toy_model(), {1, 300, KvFormat::f16, ""});
  const std::int32_t parent = session.create_sequence();
  feed(session, parent, some_tokens(150, random));
  const std::size_t page = session.page_bytes();
  CHECK_EQ(session.kv_bytes(), 3 * page);
  const std::int32_t fork = session.fork_sequence(parent, 140);
  CHECK_EQ(session.length(fork), 140u);
  CHECK_EQ(session.kv_bytes(), 3 * page);
  feed(session, parent, some_tokens(1, random));
  CHECK_EQ(session.kv_bytes(), 4 * page);
  feed(session, fork, some_tokens(1, random));  // the page is the fork's own by now
  CHECK_EQ(session.kv_bytes(), 4 * page);
  CHECK_EQ(session.trim_pages(), 0u);
  session.free_sequence(parent);
  CHECK_EQ(session.trim_pages(), page);
  CHECK_EQ(session.kv_bytes(), 3 * page);
  CHECK_ERROR(session.fork_sequence(fork, 142), "usage-sequence");
  CHECK_ERROR(session.fork_sequence(parent, 0), "usage-sequence");
}

TEST(two_sequences_that_share_a_partial_page_extend_it_in_one_step) {
  std::mt19937 random(2);
  const auto model = test::toy_model();
  Session session(model, {2, 300, KvFormat::int8, ""});
  const Tokens text = some_tokens(70, random);
  const std::int32_t first = session.create_sequence();
  feed(session, first, text);
  const std::int32_t second = session.fork_sequence(first, 70);
  const std::size_t vocab = model->spec().vocab_size;
  Logits together(2 * vocab);
  const std::vector<std::size_t> wanted{0, 1};
  session.step(std::vector<Row>{{first, 70, 11, nullptr}, {second, 70, 12, nullptr}}, wanted,
               together.data());
  for (std::int32_t i = 0; i < 2; ++i) {
    const std::int32_t alone = session.create_sequence();
    feed(session, alone, text);
    const Logits wanted_row = feed(session, alone, Tokens{11 + i});
    CHECK(std::equal(wanted_row.begin(), wanted_row.end(),
                     together.begin() + static_cast<std::ptrdiff_t>(vocab) * i));
  }
}
