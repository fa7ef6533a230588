/* The C interface of orderguard. docs/embedding-c.md says how it is used.
 *
 * Made from crates/capi by `ORDERGUARD_REWRITE=1 cargo test -p orderguard-capi --test header`: do not edit. */

#ifndef ORDERGUARD_H
#define ORDERGUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

// What became of a call. Everything but `OG_STATUS_OK` leaves a message in `og_last_error`.
enum OgStatus
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Done.
  OG_STATUS_OK = 0,
  // A pointer is null where something must stand.
  OG_STATUS_NULL_POINTER = 1,
  // A text is not UTF-8.
  OG_STATUS_NOT_TEXT = 2,
  // A row, an order or a buffer has another length than needed.
  OG_STATUS_LENGTH = 3,
  // A number means nothing: a kind of value, a decision, a language.
  OG_STATUS_ARGUMENT = 4,
  // A file cannot be read.
  OG_STATUS_IO = 5,
  // The bytes are no model, or one that contradicts itself.
  OG_STATUS_MODEL = 6,
  // The bytes are no state, or one of another model.
  OG_STATUS_STATE = 7,
  // Key, columns, tables or rules do not fit the model.
  OG_STATUS_SETUP = 8,
  // An order or event cannot be read.
  OG_STATUS_ORDER = 9,
  // The model has not what this needs: a schema, or the training rows behind reasons.
  OG_STATUS_UNSUPPORTED = 10,
  // A bug of ours was stopped at the border. What the call worked on must not be used again, but for being freed.
  OG_STATUS_INTERNAL = 11,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum OgStatus OgStatus;
#else
typedef int32_t OgStatus;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// A model that is ready to score rows. Never changes: any number of threads may use it at a time.
typedef struct OgModel OgModel;

// A model bound to the columns of orders, with rules. Never changes: any number of threads may use it at a time.
typedef struct OgOrders OgOrders;

// Memory of one thread, which remembers the order that was decided last. One thread at a time may use it.
typedef struct OgSession OgSession;

// History. Any number of threads may use it at a time: decisions read it side by side, what is learned waits for them.
typedef struct OgState OgState;

// What a model says of one row.
typedef struct OgScore {
  // Log-odds before calibration; rank and compare by it.
  double raw_score;
  // Calibrated probability of fraud, 0 to 1.
  double probability;
  // 0 approve, 1 challenge, 2 review, 3 decline; -1 of a converted model, which holds no threshold.
  int32_t decision;
} OgScore;

// A table of the shop's own, which the model must have been trained with.
typedef struct OgTable {
  // 0 network addresses (MaxMind), 1 BINs, 2 free e-mail domains, 3 disposable e-mail domains.
  int32_t kind;
  // The bytes of the file; not needed after the call.
  const uint8_t *bytes;
  // How many.
  size_t len;
} OgTable;

// Entities that are declined, or approved, whatever the score.
typedef struct OgList {
  // How decisions name it.
  const char *name;
  // The column, by name or role, such as `customer` or `card`.
  const char *column;
  // Whether its entities are trusted, and approved, or blocked, and declined.
  bool trusted;
  // Identifiers as the shop has them; not needed after the call.
  const char *const *ids;
  // How many.
  size_t n_ids;
} OgList;

// What a shop decides itself, beside the model.
typedef struct OgRules {
  // Lists of entities; blocked before trusted.
  const struct OgList *lists;
  // How many.
  size_t n_lists;
  // Amount in major units above which the first order of an account is affected; NaN for no limit.
  float first_order_max_amount;
  // The mildest decision that such orders have: 0 to 3 as in `OgScore`.
  int32_t first_order_decision;
  // The decision of orders that cannot be read: 0 to 3 as in `OgScore`.
  int32_t fallback;
} OgRules;

// One value of an order.
typedef struct OgValue {
  // 0 missing, 1 `text`, 2 `number`.
  int32_t kind;
  // UTF-8, read exactly as a cell of a file is; needs no zero byte behind it.
  const char *text;
  // Bytes of the text.
  size_t len;
  // A number; NaN is missing.
  double number;
} OgValue;

// What is to be done with an order, and why.
typedef struct OgVerdict {
  // 0 approve, 1 challenge, 2 review, 3 decline.
  int32_t decision;
  // What decided: 0 the model, 1 a list, 2 the limit of first orders, 3 nothing, because the order could not be read.
  int32_t ground;
  // Position of the list that decided; 0 where none did.
  size_t list;
  // What the model says; NaN and -1 of an order that could not be read.
  struct OgScore score;
} OgVerdict;

// Bytes that this library allocated; free them with `og_bytes_free`.
typedef struct OgBytes {
  // The first byte.
  uint8_t *data;
  // How many.
  size_t len;
} OgBytes;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The version of the library, such as `0.1.0`; lives for ever.
const char *og_version(void);

// What the last call that failed in this thread had to say: what was expected and what was found, never a value of an order.
// Empty before the first failure. Lives until the next call in this thread.
const char *og_last_error(void);

// Loads a model file, ours or a converted one, and checks all that scoring relies on. `path` is UTF-8.
//
// Needs: `path` ends with a zero byte; `out` has room for a pointer. Free the model with `og_model_free`.
OgStatus og_model_load(const char *path, struct OgModel **out);

// As `og_model_load`, of the bytes of a model file, which are not needed afterwards.
//
// Needs: `bytes` points to `len` bytes; `out` has room for a pointer. Free the model with `og_model_free`.
OgStatus og_model_from_bytes(const uint8_t *bytes, size_t len, struct OgModel **out);

// Frees a model; null is nothing. What was made of it (`og_orders_new`) stays.
//
// Needs: `model` came from this library, was not freed, and no other thread uses it.
void og_model_free(struct OgModel *model);

// Values of a row; 0 of null.
//
// Needs: `model` is null or a model.
size_t og_model_n_values(const struct OgModel *model);

// Writes what value `at` of a row is, a feature or a name, and a zero byte into `buffer`.
//
// Needs: `model` is a model; `buffer` has room for `len` bytes.
OgStatus og_model_value_name(const struct OgModel *model, size_t at, char *buffer, size_t len);

// Writes what tells the model from others, 16 hexadecimal digits, and a zero byte into `buffer`.
//
// Needs: `model` is a model; `buffer` has room for `len` bytes, 17 of which are needed.
OgStatus og_model_id(const struct OgModel *model, char *buffer, size_t len);

// From which raw score on orders are stopped. A converted model holds no threshold.
//
// Needs: `model` is a model; `out` has room for a number.
OgStatus og_model_threshold(const struct OgModel *model, double *out);

// Scores one row of `n_values` values; NaN is missing, any other bits give a score too.
//
// Needs: `model` is a model; `row` points to `n_values` numbers; `out` has room for a score.
OgStatus og_score_row_f32(const struct OgModel *model, const float *row, size_t n_values, struct OgScore *out);

// As `og_score_row_f32`, of 64-bit numbers. A model that reads orders rounds them to 32 bits, as its features are; a converted one
// compares all 64.
//
// Needs: `model` is a model; `row` points to `n_values` numbers; `out` has room for a score.
OgStatus og_score_row_f64(const struct OgModel *model,
                          const double *row,
                          size_t n_values,
                          struct OgScore *out);

// Scores `n_rows` rows that stand one after the other; the same bits as one at a time.
//
// Needs: `model` is a model; `rows` points to `n_rows * n_values` numbers; `out` has room for `n_rows` scores.
OgStatus og_score_rows_f32(const struct OgModel *model, const float *rows, size_t n_rows, size_t n_values, struct OgScore *out);

// As `og_score_rows_f32`, of 64-bit numbers; see `og_score_row_f64`.
//
// Needs: `model` is a model; `rows` points to `n_rows * n_values` numbers; `out` has room for `n_rows` scores.
OgStatus og_score_rows_f64(const struct OgModel *model, const double *rows, size_t n_rows, size_t n_values, struct OgScore *out);

// Binds a model to the columns that every order will come with. The model is not needed afterwards.
//
// `key` is the identity key of the training, null for the public one. `names` are the names of an order's values in their order;
// columns that the model does not read may be among them. `tables` and `rules` may be null: no tables; no rules, and review for
// orders that cannot be read.
//
// Needs: `model` is a model; `key` is null or points to `key_len` bytes; `names` points to `n_names` texts; `tables` to `n_tables` tables;
// `rules` is null or holds what it says; `out` has room for a pointer. Free the result with `og_orders_free`.
OgStatus og_orders_new(const struct OgModel *model,
                       const uint8_t *key,
                       size_t key_len,
                       const char *const *names,
                       size_t n_names,
                       const struct OgTable *tables,
                       size_t n_tables,
                       const struct OgRules *rules,
                       struct OgOrders **out);

// The memory of one thread.
//
// Needs: `orders` came from `og_orders_new`; `out` has room for a pointer. Free the session with `og_session_free`.
OgStatus og_session_new(const struct OgOrders *orders, struct OgSession **out);

// Frees a session; null is nothing.
//
// Needs: `session` came from this library, was not freed, and no other thread uses it.
void og_session_free(struct OgSession *session);

// Frees orders; null is nothing. States and sessions made with it stay.
//
// Needs: `orders` came from this library, was not freed, and no other thread uses it.
void og_orders_free(struct OgOrders *orders);

// Decides about an order with what `state` remembers, which does not change: see `og_learn_order`. `arrival_ms` is when the order
// came in, milliseconds since 1970.
//
// An order that cannot be read has the fallback of the rules (or is declined, if an entity of it is blocked): the call succeeds, and
// `og_last_error` says what could not be read.
//
// Needs: `orders`, `state` and `session` are what they say; no other thread uses the session; `values` points to `n_values` values whose
// texts are there; `out` has room for a verdict.
OgStatus og_decide(const struct OgOrders *orders,
                   const struct OgState *state,
                   struct OgSession *session,
                   const struct OgValue *values,
                   size_t n_values,
                   int64_t arrival_ms,
                   struct OgVerdict *out);

// Lets `state` remember the order that `session` decided last. An order id that is known is ignored. `taken`, unless null, says
// whether it was new.
//
// Needs: `orders`, `state` and `session` are what they say; no other thread uses the session; `taken` is null or has room.
OgStatus og_learn_order(const struct OgOrders *orders, const struct OgState *state, const struct OgSession *session, bool *taken);

// Lets `state` remember another event than an order (its kind stands in the column of event kinds), or an order without deciding.
// The session holds no order afterwards.
//
// Needs: As `og_decide`; `taken` is null or has room.
OgStatus og_learn_event(const struct OgOrders *orders,
                        const struct OgState *state,
                        struct OgSession *session,
                        const struct OgValue *values,
                        size_t n_values,
                        int64_t arrival_ms,
                        bool *taken);

// Lets `state` remember what an order turned out to be: fraud, or (`fraud` false) that an earlier label is taken back. `time_ms` is
// when the shop learned it.
//
// Needs: `orders` and `state` are what they say; `order_id` ends with a zero byte; `taken` is null or has room.
OgStatus og_learn_label(const struct OgOrders *orders,
                        const struct OgState *state,
                        const char *order_id,
                        int64_t time_ms,
                        bool fraud,
                        bool *taken);

// The feature row of the order that `session` decided last: `og_model_n_values` numbers, NaN where missing. They live until the
// session is used again.
//
// Needs: `orders` and `session` are what they say; `row` and `n_values` have room.
OgStatus og_session_row(const struct OgOrders *orders, const struct OgSession *session, const float **row, size_t *n_values);

// Writes the name of the list at a position and a zero byte into `buffer`.
//
// Needs: `orders` came from `og_orders_new`; `buffer` has room for `len` bytes.
OgStatus og_orders_list_name(const struct OgOrders *orders, size_t list, char *buffer, size_t len);

// What each value of a row adds to its raw score, in log-odds; with `expected`, the score of nobody in particular, they sum to it.
// A model that reads orders rounds the values to 32 bits.
//
// Needs: `model` is a model; `row` points to `n_values` numbers; `out` has room for as many, apart from `row`; `expected` is null or
// has room for one.
OgStatus og_contributions(const struct OgModel *model,
                          const double *row,
                          size_t n_values,
                          double *out,
                          double *expected);

// The reasons of the order that `session` decided last, one per line, those that speak most against the order first: at most
// `max_reasons`, and none that speaks for it. `language` is 0 for English, 1 for Polish. The text lives until the session is used again.
//
// Needs: `orders` and `session` are what they say; no other thread uses the session; `out` has room for a pointer.
OgStatus og_reasons_text(const struct OgOrders *orders,
                         struct OgSession *session,
                         int32_t language,
                         size_t max_reasons,
                         const char **out);

// As `og_reasons_text`, as a JSON array of objects: `group`, `text`, `log_odds` (what the reason adds to the raw score) and
// `probability` (what it adds to the calibrated probability).
//
// Needs: `orders` and `session` are what they say; no other thread uses the session; `out` has room for a pointer.
OgStatus og_reasons_json(const struct OgOrders *orders,
                         struct OgSession *session,
                         int32_t language,
                         size_t max_reasons,
                         const char **out);

// A state without history: everybody is seen for the first time.
//
// Needs: `orders` came from `og_orders_new`; `out` has room for a pointer. Free the state with `og_state_free`.
OgStatus og_state_new(const struct OgOrders *orders, struct OgState **out);

// The state of a state file.
//
// Needs: `orders` came from `og_orders_new`; `bytes` points to `len` bytes; `out` has room for a pointer. Free the state with
// `og_state_free`.
OgStatus og_state_restore(const struct OgOrders *orders, const uint8_t *bytes, size_t len, struct OgState **out);

// The bytes of a state file. Other threads go on deciding and learning while they are written.
//
// Needs: `orders` and `state` are what they say; `out` has room. Free the bytes with `og_bytes_free`.
OgStatus og_state_snapshot(const struct OgOrders *orders, const struct OgState *state, struct OgBytes *out);

// Frees bytes; null is nothing.
//
// Needs: `bytes` came from this library as they are and were not freed.
void og_bytes_free(struct OgBytes bytes);

// Frees a state; null is nothing.
//
// Needs: `state` came from this library, was not freed, and no other thread uses it.
void og_state_free(struct OgState *state);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

/* Values of orders. */

static inline struct OgValue og_missing(void) {
  struct OgValue value = {0, NULL, 0, 0.0};
  return value;
}

static inline struct OgValue og_text(const char *text) {
  struct OgValue value = {1, NULL, 0, 0.0};
  value.text = text;
  value.len = strlen(text);
  return value;
}

static inline struct OgValue og_number(double number) {
  struct OgValue value = {2, NULL, 0, 0.0};
  value.number = number;
  return value;
}

#endif // ORDERGUARD_H
