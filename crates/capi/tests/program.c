/* What `tests/c_program.rs` compiles: prints what the library says, to be compared with what Rust says.
 *
 *   program rows MODEL ROWS N       scores of rows of N f32, one by one, all together, and as f64
 *   program orders MODEL            decisions, reasons and history of made-up orders
 *   program threads MODEL ROWS N    four threads that share one model
 *   program misuse MODEL            nulls, lengths and files that mean nothing, each refused with a code */
#define _POSIX_C_SOURCE 200809L
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "orderguard.h"
#include "orderguard.h" /* twice is as once */

static void check(OgStatus status) {
  if (status != OG_STATUS_OK) {
    fprintf(stderr, "status %d: %s\n", (int)status, og_last_error());
    exit(1);
  }
}

static void expect(OgStatus found, OgStatus expected, const char *what) {
  if (found != expected || (expected != OG_STATUS_OK && strlen(og_last_error()) == 0)) {
    fprintf(stderr, "%s: expected status %d, found %d: %s\n", what, (int)expected, (int)found, og_last_error());
    exit(1);
  }
}

static uint64_t bits(double x) {
  uint64_t out;
  memcpy(&out, &x, sizeof out);
  return out;
}

static uint64_t hash(const uint8_t *bytes, size_t n) {
  uint64_t h = 14695981039346656037u;
  for (size_t i = 0; i < n; i++) h = (h ^ bytes[i]) * 1099511628211u;
  return h;
}

static void print(const char *what, OgScore score) {
  printf("%s %016" PRIx64 " %016" PRIx64 " %" PRId32 "\n", what, bits(score.raw_score), bits(score.probability), score.decision);
}

static OgModel *load(const char *path) {
  OgModel *model = NULL;
  check(og_model_load(path, &model));
  return model;
}

static float *read_rows(const char *path, size_t n_values, size_t *n_rows) {
  FILE *file = fopen(path, "rb");
  if (file == NULL) exit(1);
  size_t room = 1 << 20, n = 0;
  float *rows = malloc(room * sizeof *rows);
  if (rows == NULL) exit(1);
  n = fread(rows, sizeof *rows, room, file);
  fclose(file);
  *n_rows = n / n_values;
  return rows;
}

static int rows(const char *path, const char *rows_path, size_t n) {
  OgModel *model = load(path);
  size_t n_rows;
  float *narrow = read_rows(rows_path, n, &n_rows);
  double *wide = malloc(n_rows * n * sizeof *wide), *parts = malloc(n * sizeof *parts);
  OgScore *scores = malloc(n_rows * sizeof *scores);
  if (wide == NULL || parts == NULL || scores == NULL) return 1;
  for (size_t i = 0; i < n_rows * n; i++) wide[i] = narrow[i];
  char id[17], name[256];
  check(og_model_id(model, id, sizeof id));
  printf("model %s of %zu values\n", id, og_model_n_values(model));
  for (size_t i = 0; i < n; i++) {
    check(og_model_value_name(model, i, name, sizeof name));
    printf("value %s\n", name);
  }
  for (size_t i = 0; i < n_rows; i++) {
    OgScore score;
    check(og_score_row_f32(model, narrow + i * n, n, &score));
    print("one f32", score);
    check(og_score_row_f64(model, wide + i * n, n, &score));
    print("one f64", score);
    double expected, sum;
    check(og_contributions(model, wide + i * n, n, parts, &expected));
    sum = expected;
    for (size_t j = 0; j < n; j++) sum += parts[j];
    if (fabs(sum - score.raw_score) > 1e-9) return 1;
  }
  check(og_score_rows_f32(model, narrow, n_rows, n, scores));
  for (size_t i = 0; i < n_rows; i++) print("all f32", scores[i]);
  check(og_score_rows_f64(model, wide, n_rows, n, scores));
  for (size_t i = 0; i < n_rows; i++) print("all f64", scores[i]);
  free(narrow);
  free(wide);
  free(parts);
  free(scores);
  og_model_free(model);
  return 0;
}

#define N_COLUMNS 7
static const char *const NAMES[N_COLUMNS] = {"order \"id\"\nof the shop", "placed", "is_fraud", "amount", "items", "country",
                                             "card \"no\""};
static const char *const BLOCKED[] = {"card 7"};
static const char *const TRUSTED[] = {"card 8", "card 9"};

static OgOrders *bind(const OgModel *model) {
  OgList lists[2] = {{"stolen", "card", false, BLOCKED, 1}, {"staff", "card \"no\"", true, TRUSTED, 2}};
  OgRules rules = {lists, 2, NAN, 0, 3};
  OgOrders *orders = NULL;
  check(og_orders_new(model, NULL, 0, NAMES, N_COLUMNS, NULL, 0, &rules, &orders));
  return orders;
}

static OgState *restored(const OgOrders *orders, OgState *state) {
  OgBytes bytes;
  OgState *again = NULL;
  check(og_state_snapshot(orders, state, &bytes));
  printf("state %zu %016" PRIx64 "\n", bytes.len, hash(bytes.data, bytes.len));
  check(og_state_restore(orders, bytes.data, bytes.len, &again));
  og_bytes_free(bytes);
  og_state_free(state);
  return again;
}

static int orders(const char *path) {
  OgModel *model = load(path);
  OgOrders *orders = bind(model);
  og_model_free(model);
  OgState *state = NULL;
  OgSession *session = NULL;
  check(og_state_new(orders, &state));
  check(og_session_new(orders, &session));
  static const char *const countries[] = {"PL", "DE", "\xc3\x85land", "FR", ""};
  for (int i = 0; i < 200; i++) {
    char id[16], time[32], card[16], list[16];
    int64_t arrival = INT64_C(1800000000000) + i * 1000;
    snprintf(id, sizeof id, "o-%d", i);
    snprintf(time, sizeof time, "2027-01-14T%02d:00:00Z", i % 24);
    snprintf(card, sizeof card, "card %d", i % 20);
    OgValue values[N_COLUMNS] = {og_text(id),       og_text(i % 50 == 11 ? "soon" : time), og_missing(), og_number(i * 37 % 1000),
                                 og_number(i % 7), og_text(countries[i % 5]),            og_text(card)};
    OgVerdict verdict;
    bool taken = false;
    check(og_decide(orders, state, session, values, N_COLUMNS, arrival, &verdict));
    printf("order %d decision %" PRId32 " ground %" PRId32 "\n", i, verdict.decision, verdict.ground);
    if (verdict.ground == 1) {
      check(og_orders_list_name(orders, verdict.list, list, sizeof list));
      printf("list %s\n", list);
    }
    if (verdict.ground == 3) {
      printf("unreadable: %s\n", og_last_error());
      expect(og_learn_order(orders, state, session, &taken), OG_STATUS_ORDER, "learning what was not read");
      continue;
    }
    print("score", verdict.score);
    const float *row;
    const char *text, *json;
    size_t n;
    check(og_session_row(orders, session, &row, &n));
    for (size_t j = 0; j < n; j++) printf("%016" PRIx64 " ", bits(row[j]));
    check(og_reasons_text(orders, session, i % 2, 3, &text));
    printf("\nreasons %s\n", text);
    check(og_reasons_json(orders, session, i % 2, 3, &json));
    printf("json %s\n", json);
    check(og_learn_order(orders, state, session, &taken));
    if (!taken) return 1;
    check(og_learn_order(orders, state, session, &taken));
    if (taken) return 1;
    if (i % 10 == 3) {
      check(og_learn_label(orders, state, id, arrival + 500, true, &taken));
      printf("label %d\n", taken);
    }
    if (i == 100) state = restored(orders, state);
  }
  state = restored(orders, state);
  og_state_free(state);
  og_session_free(session);
  og_orders_free(orders);
  return 0;
}

struct work {
  const OgModel *model;
  const float *rows;
  size_t n_rows, n;
  uint64_t sum;
};

static void *score_all(void *argument) {
  struct work *work = argument;
  for (int turn = 0; turn < 50; turn++) {
    for (size_t i = 0; i < work->n_rows; i++) {
      OgScore score;
      check(og_score_row_f32(work->model, work->rows + i * work->n, work->n, &score));
      work->sum = work->sum * 31 + bits(score.raw_score);
    }
    /* The message of a failure is its own thread's. */
    OgScore score;
    expect(og_score_row_f32(work->model, work->rows, work->n + 1, &score), OG_STATUS_LENGTH, "a long row");
  }
  return NULL;
}

static int threads(const char *path, const char *rows_path, size_t n) {
  OgModel *model = load(path);
  size_t n_rows;
  float *rows = read_rows(rows_path, n, &n_rows);
  struct work work[4];
  pthread_t thread[4];
  for (int i = 0; i < 4; i++) {
    struct work one = {model, rows, n_rows, n, 0};
    work[i] = one;
    if (pthread_create(&thread[i], NULL, score_all, &work[i]) != 0) return 1;
  }
  for (int i = 0; i < 4; i++) {
    pthread_join(thread[i], NULL);
    if (work[i].sum != work[0].sum) return 1;
  }
  free(rows);
  og_model_free(model);
  return 0;
}

static int misuse(const char *path) {
  OgModel *model = load(path), *none = NULL;
  size_t n = og_model_n_values(model);
  float row[64] = {0};
  double wide[64] = {0}, parts[64], number;
  OgScore score, scores[4];
  char small[4];
  if (strchr(og_version(), '.') == NULL) return 1;
  expect(og_model_load(NULL, &none), OG_STATUS_NULL_POINTER, "no path");
  expect(og_model_load(path, NULL), OG_STATUS_NULL_POINTER, "no room");
  expect(og_model_load("/nowhere/model.ogm", &none), OG_STATUS_IO, "no file");
  expect(og_model_load("\xff\xfe", &none), OG_STATUS_NOT_TEXT, "a path of odd bytes");
  expect(og_model_from_bytes((const uint8_t *)"not a model", 11, &none), OG_STATUS_MODEL, "no model");
  expect(og_model_from_bytes(NULL, 0, &none), OG_STATUS_MODEL, "no bytes");
  expect(og_model_from_bytes(NULL, 5, &none), OG_STATUS_NULL_POINTER, "no bytes, said to be five");
  if (none != NULL || og_model_n_values(NULL) != 0) return 1;
  expect(og_score_row_f32(NULL, row, n, &score), OG_STATUS_NULL_POINTER, "no model");
  expect(og_score_row_f32(model, NULL, n, &score), OG_STATUS_NULL_POINTER, "no row");
  expect(og_score_row_f32(model, row, n, NULL), OG_STATUS_NULL_POINTER, "no room");
  expect(og_score_row_f32(model, row, n - 1, &score), OG_STATUS_LENGTH, "a short row");
  expect(og_score_row_f64(model, wide, n + 1, &score), OG_STATUS_LENGTH, "a long row");
  expect(og_score_rows_f32(model, row, 2, n + 1, scores), OG_STATUS_LENGTH, "long rows");
  expect(og_score_rows_f32(model, row, SIZE_MAX, n, scores), OG_STATUS_LENGTH, "more rows than there are");
  expect(og_score_rows_f64(model, wide, SIZE_MAX / 8 / n, n, scores), OG_STATUS_LENGTH, "more rows than fit");
  expect(og_score_rows_f32(model, NULL, 0, n, NULL), OG_STATUS_OK, "no rows");
  expect(og_contributions(model, wide, n - 1, parts, NULL), OG_STATUS_LENGTH, "contributions of a short row");
  expect(og_model_id(model, small, sizeof small), OG_STATUS_LENGTH, "a small buffer");
  expect(og_model_value_name(model, n, small, sizeof small), OG_STATUS_ARGUMENT, "a value too many");
  expect(og_model_threshold(NULL, &number), OG_STATUS_NULL_POINTER, "no model");
  check(og_model_threshold(model, &number));

  OgOrders *orders = NULL, *all = bind(model), *other = bind(model);
  const uint8_t key[] = "another key";
  expect(og_orders_new(model, key, sizeof key, NAMES, N_COLUMNS, NULL, 0, NULL, &orders), OG_STATUS_SETUP, "another key");
  expect(og_orders_new(model, NULL, 0, NAMES, 2, NULL, 0, NULL, &orders), OG_STATUS_SETUP, "too few columns");
  expect(og_orders_new(model, NULL, 0, NULL, 2, NULL, 0, NULL, &orders), OG_STATUS_NULL_POINTER, "no columns");
  OgRules rules = {NULL, 0, NAN, 0, 9};
  expect(og_orders_new(model, NULL, 0, NAMES, N_COLUMNS, NULL, 0, &rules, &orders), OG_STATUS_ARGUMENT, "no such decision");
  OgTable table = {1, (const uint8_t *)"nothing", 7};
  expect(og_orders_new(model, NULL, 0, NAMES, N_COLUMNS, &table, 1, NULL, &orders), OG_STATUS_SETUP, "no BIN table");
  table.kind = 7;
  expect(og_orders_new(model, NULL, 0, NAMES, N_COLUMNS, &table, 1, NULL, &orders), OG_STATUS_ARGUMENT, "no such table");
  if (orders != NULL) return 1;

  OgState *state = NULL, *no_state = NULL;
  OgSession *session = NULL;
  OgVerdict verdict;
  const char *text = NULL;
  const float *found;
  check(og_state_new(all, &state));
  check(og_session_new(all, &session));
  OgValue values[N_COLUMNS] = {og_text("o-1"), og_text("2027-01-14T00:00:00Z"), og_missing(), og_number(10), og_number(1),
                               og_text("PL"),  og_text("card 1")};
  int64_t arrival = INT64_C(1800000000000);
  expect(og_learn_order(all, state, session, NULL), OG_STATUS_ORDER, "no order yet");
  expect(og_reasons_text(all, session, 0, 3, &text), OG_STATUS_ORDER, "no reasons yet");
  expect(og_session_row(all, session, &found, &n), OG_STATUS_ORDER, "no row yet");
  expect(og_decide(all, NULL, session, values, N_COLUMNS, arrival, &verdict), OG_STATUS_NULL_POINTER, "no state");
  expect(og_decide(all, state, session, values, 3, arrival, &verdict), OG_STATUS_OK, "a short order");
  if (verdict.ground != 3 || verdict.decision != 3 || !isnan(verdict.score.raw_score)) return 1;
  check(og_decide(all, state, session, values, N_COLUMNS, arrival, &verdict));
  if (verdict.ground != 0) return 1;
  expect(og_learn_order(other, state, session, NULL), OG_STATUS_ORDER, "other orders");
  expect(og_reasons_text(all, session, 2, 3, &text), OG_STATUS_ARGUMENT, "no such language");
  values[5].text = "\xff";
  expect(og_decide(all, state, session, values, N_COLUMNS, arrival, &verdict), OG_STATUS_NOT_TEXT, "odd bytes");
  values[5] = og_missing();
  values[5].kind = 3;
  expect(og_decide(all, state, session, values, N_COLUMNS, arrival, &verdict), OG_STATUS_ARGUMENT, "no such kind");
  expect(og_learn_order(all, state, session, NULL), OG_STATUS_ORDER, "an order that was not decided");
  values[5] = og_missing();
  expect(og_learn_event(all, state, session, values, 2, arrival, NULL), OG_STATUS_ORDER, "a short event");
  check(og_learn_event(all, state, session, values, N_COLUMNS, arrival, NULL));
  expect(og_learn_label(all, state, NULL, arrival, true, NULL), OG_STATUS_NULL_POINTER, "no order id");
  expect(og_state_restore(all, (const uint8_t *)"no state", 8, &no_state), OG_STATUS_STATE, "no state");
  expect(og_state_snapshot(all, state, NULL), OG_STATUS_NULL_POINTER, "no room");
  if (no_state != NULL) return 1;
  og_session_free(session);
  og_state_free(state);
  og_orders_free(all);
  og_orders_free(other);
  og_model_free(model);
  og_model_free(NULL);
  og_orders_free(NULL);
  og_state_free(NULL);
  og_session_free(NULL);
  OgBytes nothing = {NULL, 0};
  og_bytes_free(nothing);
  return 0;
}

int main(int argc, char **argv) {
  if (argc == 5 && strcmp(argv[1], "rows") == 0) return rows(argv[2], argv[3], (size_t)atoi(argv[4]));
  if (argc == 5 && strcmp(argv[1], "threads") == 0) return threads(argv[2], argv[3], (size_t)atoi(argv[4]));
  if (argc == 3 && strcmp(argv[1], "orders") == 0) return orders(argv[2]);
  if (argc == 3 && strcmp(argv[1], "misuse") == 0) return misuse(argv[2]);
  return 2;
}
