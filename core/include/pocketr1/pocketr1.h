/*
 * Pocket R1: the C interface of the engine. Loads a bundle, runs a model, samples tokens; text is
 * the caller's (a tokenizer is not part of it).
 *
 * Every function that can fail returns a pocketr1_status and, where `error` is not NULL, fills it.
 * Handles are opaque and are destroyed by their _free function, which takes NULL. A session has one
 * owner thread; pocketr1_session_cancel alone may be called from any, and it alone from a progress
 * callback (other calls that change the session are refused while a step runs). The library neither
 * prints nor aborts. This header is stable: names and meanings stay, structs with a `size` field
 * may grow at their end.
 */
#ifndef POCKETR1_POCKETR1_H
#define POCKETR1_POCKETR1_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define POCKETR1_API __attribute__((visibility("default")))
#else
#define POCKETR1_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum pocketr1_status {
  POCKETR1_OK = 0,
  POCKETR1_INVALID_ARGUMENT = 1, /* the caller's mistake */
  POCKETR1_BAD_MODEL = 2,        /* the bundle is damaged, foreign or cannot be read */
  POCKETR1_CONTEXT_FULL = 3,
  POCKETR1_CANCELLED = 4,
  POCKETR1_OUT_OF_MEMORY = 5,
  POCKETR1_UNSUPPORTED = 6, /* this CPU lacks the instruction set that was forced */
  POCKETR1_FAILED = 7
} pocketr1_status;

typedef struct pocketr1_error {
  char code[48];     /* a stable slug: "bundle-invalid" */
  char message[464]; /* which file, tensor or option, and what is wrong with it; UTF-8 */
} pocketr1_error;

typedef struct pocketr1_model pocketr1_model;
typedef struct pocketr1_session pocketr1_session;

/* One file of a bundle ("bundle.json", "blocks/00000.safetensors") as a range of an open
 * descriptor, such as an asset inside an Android package. The descriptor is duplicated. */
typedef struct pocketr1_file {
  const char* name;
  int descriptor;
  uint64_t offset;
  uint64_t length;
} pocketr1_file;

/* `map` 1: weights are mapped from the file (a file that shrinks meanwhile is SIGBUS); 0: read. */
POCKETR1_API pocketr1_status pocketr1_model_open(const char* directory, int map,
                                                 pocketr1_model** model, pocketr1_error* error);
POCKETR1_API pocketr1_status pocketr1_model_open_files(const pocketr1_file* files, size_t count,
                                                       int map, pocketr1_model** model,
                                                       pocketr1_error* error);
/* Sessions keep their model alive: it may be freed before them. */
POCKETR1_API void pocketr1_model_free(pocketr1_model* model);

POCKETR1_API int32_t pocketr1_model_vocab_size(const pocketr1_model* model);
POCKETR1_API int32_t pocketr1_model_hidden_size(const pocketr1_model* model);
POCKETR1_API int64_t pocketr1_model_max_positions(const pocketr1_model* model);
/* 1 where the model ends its answer with this token. */
POCKETR1_API int pocketr1_model_is_end(const pocketr1_model* model, int32_t token);

typedef enum pocketr1_kv_format {
  POCKETR1_KV_F32 = 0,
  POCKETR1_KV_F16 = 1,
  POCKETR1_KV_INT8 = 2
} pocketr1_kv_format;

typedef struct pocketr1_session_options {
  size_t size;         /* sizeof(pocketr1_session_options) */
  uint32_t threads;    /* 1..256, the calling one included */
  int64_t max_context; /* tokens a sequence may hold */
  int32_t kv_format;   /* a pocketr1_kv_format */
  const char* isa;     /* NULL: the environment's POCKETR1_ISA, or the best this CPU has */
} pocketr1_session_options;

POCKETR1_API pocketr1_status pocketr1_session_new(const pocketr1_model* model,
                                                  const pocketr1_session_options* options,
                                                  pocketr1_session** session,
                                                  pocketr1_error* error);
POCKETR1_API void pocketr1_session_free(pocketr1_session* session);

/* Sequences hold K/V pages of 64 tokens; an extended one can be rolled back. */
POCKETR1_API pocketr1_status pocketr1_sequence_new(pocketr1_session* session, int32_t* sequence,
                                                   pocketr1_error* error);
/* A new sequence that begins with the first `length` tokens of `sequence`. Their pages are shared;
 * the sequence that first writes into a partial page gets a copy of it. Both are freed apart. */
POCKETR1_API pocketr1_status pocketr1_sequence_fork(pocketr1_session* session, int32_t sequence,
                                                    int64_t length, int32_t* fork,
                                                    pocketr1_error* error);
POCKETR1_API pocketr1_status pocketr1_sequence_free(pocketr1_session* session, int32_t sequence,
                                                    pocketr1_error* error);
POCKETR1_API pocketr1_status pocketr1_sequence_length(const pocketr1_session* session,
                                                      int32_t sequence, int64_t* length,
                                                      pocketr1_error* error);
POCKETR1_API pocketr1_status pocketr1_sequence_truncate(pocketr1_session* session, int32_t sequence,
                                                        int64_t length, pocketr1_error* error);

/* Gives pages that no sequence uses back to the system, as when it runs out of memory. `bytes`, how
 * many those were, may be NULL. */
POCKETR1_API pocketr1_status pocketr1_session_trim(pocketr1_session* session, int64_t* bytes,
                                                   pocketr1_error* error);

typedef struct pocketr1_row {
  int32_t sequence;
  int64_t position;       /* where the sequence ends, then one more per row of it */
  int32_t token;          /* ignored where embedding is not NULL */
  const float* embedding; /* (hidden_size) floats in place of a token, or NULL */
} pocketr1_row;

/* Called before each layer; anything but 0 cancels the step. */
typedef int (*pocketr1_progress)(void* context, size_t layer, size_t layers);

typedef struct pocketr1_step_options {
  size_t size; /* sizeof(pocketr1_step_options) */
  pocketr1_progress progress;
  void* context;
} pocketr1_step_options;

/* Runs the rows and writes the logits, (wanted_count, vocab_size) floats, of the rows whose
 * ascending indices are in `wanted`. After an error every sequence is as it was. `options` may be
 * NULL. */
POCKETR1_API pocketr1_status pocketr1_step(pocketr1_session* session, const pocketr1_row* rows,
                                           size_t row_count, const size_t* wanted,
                                           size_t wanted_count, float* logits,
                                           const pocketr1_step_options* options,
                                           pocketr1_error* error);
/* From any thread: the running step, or else the next one, returns POCKETR1_CANCELLED. */
POCKETR1_API void pocketr1_session_cancel(pocketr1_session* session);

typedef struct pocketr1_sampling {
  size_t size;              /* sizeof(pocketr1_sampling) */
  float temperature;        /* 0: the likeliest token */
  int32_t top_k;            /* 0: off */
  float top_p;              /* 1: off */
  float min_p;              /* 0: off */
  float repetition_penalty; /* 1: off */
  uint64_t seed;
  uint64_t index; /* the caller's index within a request */
} pocketr1_sampling;

/* DeepSeek's advice for R1: temperature 0.6, top_p 0.95, everything else off. */
POCKETR1_API pocketr1_sampling pocketr1_sampling_default(void);

/* A token from (vocab_size) logits. The same logits, history, sampling and position give the same
 * token on every machine. `history` is what repetition_penalty speaks of; NULL with 0. */
POCKETR1_API pocketr1_status pocketr1_sample(pocketr1_session* session, const float* logits,
                                             const int32_t* history, size_t history_count,
                                             const pocketr1_sampling* sampling, uint64_t position,
                                             int32_t* token, pocketr1_error* error);

/* "scalar", "avx2", "avx512_vnni", "neon_dotprod", "neon_i8mm": the kernels this session runs. */
POCKETR1_API const char* pocketr1_session_isa(const pocketr1_session* session);
POCKETR1_API const char* pocketr1_version(void);

#ifdef __cplusplus
}
#endif

#endif /* POCKETR1_POCKETR1_H */
