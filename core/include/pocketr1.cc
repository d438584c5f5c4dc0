#include "pocketr1/pocketr1.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "bundle/bundle.h"
#include "session/session.h"

struct pocketr1_model {
  std::shared_ptr<const pocketr1::Model> model;
};

struct pocketr1_session {
  pocketr1::Session session;
};

namespace {

using pocketr1::Error;

pocketr1_status status_of(std::string_view code) {
  if (code == "context-full") return POCKETR1_CONTEXT_FULL;
  if (code == "cancelled") return POCKETR1_CANCELLED;
  if (code == "memory") return POCKETR1_OUT_OF_MEMORY;
  if (code == "isa-unsupported") return POCKETR1_UNSUPPORTED;
  if (code.starts_with("usage")) return POCKETR1_INVALID_ARGUMENT;
  if (code.starts_with("bundle") || code.starts_with("json")) return POCKETR1_BAD_MODEL;
  return POCKETR1_FAILED;
}

// Drops a UTF-8 character that was cut at the end of `text`.
void drop_cut_character(char* text) {
  std::size_t end = std::strlen(text);
  std::size_t tail = 0;  // continuation bytes
  while (tail < 3 && tail < end && (text[end - 1 - tail] & 0xc0) == 0x80) ++tail;
  if (tail == end) return;
  const auto lead = static_cast<unsigned char>(text[end - 1 - tail]);
  const std::size_t wanted = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;
  if (wanted > tail) text[end - 1 - tail] = '\0';
}

pocketr1_status report(pocketr1_error* error, const char* code, const char* message) {
  if (error != nullptr) {
    std::snprintf(error->code, sizeof error->code, "%s", code);
    std::snprintf(error->message, sizeof error->message, "%s", message);
    drop_cut_character(error->message);
  }
  return status_of(code);
}

// Runs `body`; no exception leaves it.
template <typename Body>
pocketr1_status guarded(pocketr1_error* error, Body body) noexcept {
  try {
    body();
    if (error != nullptr) error->code[0] = error->message[0] = '\0';
    return POCKETR1_OK;
  } catch (const Error& e) {
    return report(error, e.code().c_str(), e.what());
  } catch (const std::bad_alloc&) {
    return report(error, "memory", "the system has no memory left");
  } catch (const std::exception& e) {
    return report(error, "failed", e.what());
  } catch (...) {
    return report(error, "failed", "unknown failure");
  }
}

void need(bool good, const char* what, const char* reason) {
  if (!good) throw Error("usage-argument", what, reason);
}

std::size_t length_of(const char* what, std::int64_t value) {
  need(value >= 0, what, "is negative");
  return static_cast<std::size_t>(value);
}

pocketr1_model* make_model(const pocketr1::Bundle& bundle) {
  return new pocketr1_model{pocketr1::open_model(bundle)};
}

}  // namespace

pocketr1_status pocketr1_model_open(const char* directory, int map, pocketr1_model** model,
                                    pocketr1_error* error) {
  return guarded(error, [&] {
    need(directory != nullptr && model != nullptr, "pocketr1_model_open", "an argument is NULL");
    *model = make_model(pocketr1::Bundle::open(std::string(directory), map != 0));
  });
}

pocketr1_status pocketr1_model_open_files(const pocketr1_file* files, size_t count, int map,
                                          pocketr1_model** model, pocketr1_error* error) {
  return guarded(error, [&] {
    need(files != nullptr && model != nullptr, "pocketr1_model_open_files", "an argument is NULL");
    std::vector<pocketr1::NamedFile> named;
    for (size_t i = 0; i < count; ++i) {
      need(files[i].name != nullptr, "pocketr1_model_open_files", "a file has no name");
      named.push_back({files[i].name, files[i].descriptor, files[i].offset, files[i].length});
    }
    *model = make_model(pocketr1::Bundle::open(named, map != 0));
  });
}

void pocketr1_model_free(pocketr1_model* model) { delete model; }

int32_t pocketr1_model_vocab_size(const pocketr1_model* model) {
  return static_cast<int32_t>(model->model->spec().vocab_size);
}

int32_t pocketr1_model_hidden_size(const pocketr1_model* model) {
  return static_cast<int32_t>(model->model->spec().hidden_size);
}

int64_t pocketr1_model_max_positions(const pocketr1_model* model) {
  return static_cast<int64_t>(model->model->spec().max_positions);
}

int pocketr1_model_is_end(const pocketr1_model* model, int32_t token) {
  const auto& ends = model->model->spec().eos_token_ids;
  return std::find(ends.begin(), ends.end(), token) != ends.end() ? 1 : 0;
}

pocketr1_status pocketr1_session_new(const pocketr1_model* model,
                                     const pocketr1_session_options* options,
                                     pocketr1_session** session, pocketr1_error* error) {
  return guarded(error, [&] {
    need(model != nullptr && options != nullptr && session != nullptr, "pocketr1_session_new",
         "an argument is NULL");
    need(options->size >= sizeof *options, "pocketr1_session_options.size", "is not set");
    need(options->kv_format >= POCKETR1_KV_F32 && options->kv_format <= POCKETR1_KV_INT8,
         "kv_format", "is no pocketr1_kv_format");
    const pocketr1::SessionOptions inner{options->threads,
                                         length_of("max_context", options->max_context),
                                         static_cast<pocketr1::KvFormat>(options->kv_format),
                                         options->isa == nullptr ? "" : options->isa};
    *session = new pocketr1_session{pocketr1::Session(model->model, inner)};
  });
}

void pocketr1_session_free(pocketr1_session* session) { delete session; }

pocketr1_status pocketr1_sequence_new(pocketr1_session* session, int32_t* sequence,
                                      pocketr1_error* error) {
  return guarded(error, [&] {
    need(session != nullptr && sequence != nullptr, "pocketr1_sequence_new", "an argument is NULL");
    *sequence = session->session.create_sequence();
  });
}

pocketr1_status pocketr1_sequence_fork(pocketr1_session* session, int32_t sequence, int64_t length,
                                       int32_t* fork, pocketr1_error* error) {
  return guarded(error, [&] {
    need(session != nullptr && fork != nullptr, "pocketr1_sequence_fork", "an argument is NULL");
    *fork = session->session.fork_sequence(sequence, length_of("length", length));
  });
}

pocketr1_status pocketr1_session_trim(pocketr1_session* session, int64_t* bytes,
                                      pocketr1_error* error) {
  return guarded(error, [&] {
    need(session != nullptr, "pocketr1_session_trim", "the session is NULL");
    const std::size_t freed = session->session.trim_pages();
    if (bytes != nullptr) *bytes = static_cast<int64_t>(freed);
  });
}

pocketr1_status pocketr1_sequence_free(pocketr1_session* session, int32_t sequence,
                                       pocketr1_error* error) {
  return guarded(error, [&] {
    need(session != nullptr, "pocketr1_sequence_free", "the session is NULL");
    session->session.free_sequence(sequence);
  });
}

pocketr1_status pocketr1_sequence_length(const pocketr1_session* session, int32_t sequence,
                                         int64_t* length, pocketr1_error* error) {
  return guarded(error, [&] {
    need(session != nullptr && length != nullptr, "pocketr1_sequence_length",
         "an argument is NULL");
    *length = static_cast<int64_t>(session->session.length(sequence));
  });
}

pocketr1_status pocketr1_sequence_truncate(pocketr1_session* session, int32_t sequence,
                                           int64_t length, pocketr1_error* error) {
  return guarded(error, [&] {
    need(session != nullptr, "pocketr1_sequence_truncate", "the session is NULL");
    session->session.truncate(sequence, length_of("length", length));
  });
}

pocketr1_status pocketr1_step(pocketr1_session* session, const pocketr1_row* rows, size_t row_count,
                              const size_t* wanted, size_t wanted_count, float* logits,
                              const pocketr1_step_options* options, pocketr1_error* error) {
  return guarded(error, [&] {
    need(session != nullptr && (rows != nullptr || row_count == 0), "pocketr1_step",
         "an argument is NULL");
    need((wanted != nullptr && logits != nullptr) || wanted_count == 0, "pocketr1_step",
         "wanted or logits is NULL");
    std::vector<pocketr1::Row> inner;
    for (size_t i = 0; i < row_count; ++i) {
      inner.push_back({rows[i].sequence, length_of("position", rows[i].position), rows[i].token,
                       rows[i].embedding});
    }
    pocketr1::StepOptions step;
    if (options != nullptr && options->progress != nullptr) {
      need(options->size >= sizeof *options, "pocketr1_step_options.size", "is not set");
      step.progress = [options](std::size_t layer, std::size_t layers) {
        return options->progress(options->context, layer, layers) == 0;
      };
    }
    session->session.step(inner, {wanted, wanted_count}, logits, step);
  });
}

void pocketr1_session_cancel(pocketr1_session* session) { session->session.cancel(); }

pocketr1_sampling pocketr1_sampling_default(void) {
  const pocketr1::Sampling sampling;
  return {sizeof(pocketr1_sampling),
          sampling.temperature,
          sampling.top_k,
          sampling.top_p,
          sampling.min_p,
          sampling.repetition_penalty,
          sampling.seed,
          sampling.index};
}

pocketr1_status pocketr1_sample(pocketr1_session* session, const float* logits,
                                const int32_t* history, size_t history_count,
                                const pocketr1_sampling* sampling, uint64_t position,
                                int32_t* token, pocketr1_error* error) {
  return guarded(error, [&] {
    need(session != nullptr && logits != nullptr && sampling != nullptr && token != nullptr,
         "pocketr1_sample", "an argument is NULL");
    need(history != nullptr || history_count == 0, "pocketr1_sample", "history is NULL");
    need(sampling->size >= sizeof *sampling, "pocketr1_sampling.size", "is not set");
    const pocketr1::Sampling inner{sampling->repetition_penalty,
                                   sampling->temperature,
                                   sampling->top_k,
                                   sampling->top_p,
                                   sampling->min_p,
                                   sampling->seed,
                                   sampling->index};
    *token = session->session.sample({logits, session->session.model().spec().vocab_size},
                                     {history, history_count}, inner, position);
  });
}

const char* pocketr1_session_isa(const pocketr1_session* session) { return session->session.isa(); }

const char* pocketr1_version(void) { return "0.1.0"; }
