/* The C header compiled as C, and what it answers to callers' mistakes. A real model is run through
 * it by examples/c/stream.c. */
#include <pocketr1/pocketr1.h>
#include <stdio.h>
#include <string.h>

static int failed = 0;
static int passed = 0;

static void check(int good, const char* what) {
  if (good) {
    ++passed;
  } else {
    ++failed;
    printf("FAILED %s\n", what);
  }
}

int main(void) {
  pocketr1_error error;
  pocketr1_model* model = NULL;
  pocketr1_session* session = NULL;
  int32_t sequence = 0;
  int64_t length = 0;
  char path[700];
  pocketr1_session_options options = {sizeof options, 1, 16, POCKETR1_KV_F16, NULL};

  check(pocketr1_model_open("/nowhere/at/all", 1, &model, &error) == POCKETR1_BAD_MODEL,
        "a missing directory is a bad model");
  check(strstr(error.message, "/nowhere/at/all") != NULL, "the error names the directory");
  check(strncmp(error.code, "bundle", 6) == 0, "the code is a slug");
  check(model == NULL, "nothing is handed out");
  check(pocketr1_model_open(NULL, 1, &model, &error) == POCKETR1_INVALID_ARGUMENT,
        "NULL for a directory is the caller's mistake");
  check(pocketr1_model_open("/nowhere/at/all", 1, &model, NULL) == POCKETR1_BAD_MODEL,
        "the error may be NULL");
  check(pocketr1_model_open_files(NULL, 0, 1, &model, &error) == POCKETR1_INVALID_ARGUMENT,
        "NULL for files is the caller's mistake");
  check(pocketr1_session_new(NULL, &options, &session, &error) == POCKETR1_INVALID_ARGUMENT,
        "NULL for a model is the caller's mistake");
  check(pocketr1_step(NULL, NULL, 0, NULL, 0, NULL, NULL, &error) == POCKETR1_INVALID_ARGUMENT,
        "NULL for a session is the caller's mistake");
  check(pocketr1_sequence_new(NULL, &sequence, &error) == POCKETR1_INVALID_ARGUMENT &&
            pocketr1_sequence_fork(NULL, 0, 0, &sequence, &error) == POCKETR1_INVALID_ARGUMENT &&
            pocketr1_session_trim(NULL, NULL, &error) == POCKETR1_INVALID_ARGUMENT &&
            pocketr1_sequence_free(NULL, 0, &error) == POCKETR1_INVALID_ARGUMENT &&
            pocketr1_sequence_length(NULL, 0, &length, &error) == POCKETR1_INVALID_ARGUMENT &&
            pocketr1_sequence_truncate(NULL, 0, 0, &error) == POCKETR1_INVALID_ARGUMENT,
        "NULL for a session is the caller's mistake wherever a sequence is named");
  memset(path, 'x', sizeof path - 1);
  for (size_t shift = 0; shift < 3; ++shift) {
    path[0] = '/';
    for (size_t i = 1 + shift; i + 3 < sizeof path; i += 3) memcpy(path + i, "\xe6\xa8\xa1", 3);
    path[sizeof path - 1] = '\0';
    check(pocketr1_model_open(path, 1, &model, &error) == POCKETR1_BAD_MODEL, "a long name");
    const size_t end = strlen(error.message);
    check(end + 4 > sizeof error.message && (unsigned char)error.message[end - 1] == 0xa1,
          "a message too long ends with a whole character");
  }
  check(pocketr1_sampling_default().size == sizeof(pocketr1_sampling), "defaults carry their size");
  check(strlen(pocketr1_version()) > 0, "there is a version");
  pocketr1_session_free(NULL);
  pocketr1_model_free(NULL);
  printf("%d passed, %d failed\n", passed, failed);
  return failed != 0;
}
