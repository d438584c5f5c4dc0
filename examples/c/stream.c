/* Loads a bundle and streams tokens: stream BUNDLE COUNT TOKEN [TOKEN ...]
 * Prints the ids the model goes on with, one by one, as the sampler draws them. */
#include <pocketr1/pocketr1.h>
#include <stdio.h>
#include <stdlib.h>

static int fail(const char* what, const pocketr1_error* error) {
  fprintf(stderr, "%s: %s (%s)\n", what, error->message, error->code);
  return 1;
}

int main(int argc, char** argv) {
  pocketr1_error error;
  pocketr1_model* model = NULL;
  pocketr1_session* session = NULL;
  if (argc < 4) {
    fprintf(stderr, "usage: %s BUNDLE COUNT TOKEN [TOKEN ...]\n", argv[0]);
    return 2;
  }
  if (pocketr1_model_open(argv[1], 1, &model, &error)) return fail("open", &error);

  pocketr1_session_options options = {sizeof options, 2, 2048, POCKETR1_KV_F16, NULL};
  int32_t sequence = 0;
  if (pocketr1_session_new(model, &options, &session, &error)) return fail("session", &error);
  if (pocketr1_sequence_new(session, &sequence, &error)) return fail("sequence", &error);

  const size_t prompt = (size_t)(argc - 3);
  const long count = strtol(argv[2], NULL, 10);
  pocketr1_row* rows = calloc(prompt, sizeof *rows);
  float* logits = calloc((size_t)pocketr1_model_vocab_size(model), sizeof *logits);
  if (!rows || !logits) return 1;
  for (size_t i = 0; i < prompt; ++i) {
    rows[i].sequence = sequence;
    rows[i].position = (int64_t)i;
    rows[i].token = (int32_t)strtol(argv[3 + i], NULL, 10);
  }
  pocketr1_sampling sampling = pocketr1_sampling_default();
  sampling.seed = 1;
  size_t n = prompt;
  for (long made = 0; made < count; ++made) {
    const size_t last = n - 1;
    if (pocketr1_step(session, rows, n, &last, 1, logits, NULL, &error))
      return fail("step", &error);
    const int64_t position = rows[last].position + 1;
    int32_t token = 0;
    if (pocketr1_sample(session, logits, NULL, 0, &sampling, (uint64_t)position, &token, &error)) {
      return fail("sample", &error);
    }
    printf("%d\n", (int)token);
    fflush(stdout);
    if (pocketr1_model_is_end(model, token)) break;
    rows[0].token = token;
    rows[0].position = position;
    n = 1;
  }
  free(rows), free(logits);
  pocketr1_session_free(session);
  pocketr1_model_free(model);
  return 0;
}
