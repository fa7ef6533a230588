/* Times LightGBM's C interface and compiled forests of lleaves and tl2cgen; `scripts/bench/score` builds and runs it.
   score_peers MODEL.txt ROWS.f64 RAW.f64 lib_lightgbm.so lleaves.so|- tl2cgen.so|- */
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { N_FEATURES = 40, F64 = 1, RAW = 1, CONTRIB = 3 };

union entry {
    int missing;
    double value;
    int rank;
};

static double *read_numbers(const char *path, long *n) {
    FILE *file = fopen(path, "rb");
    if (!file) { perror(path); exit(2); }
    fseek(file, 0, SEEK_END);
    long bytes = ftell(file);
    rewind(file);
    double *numbers = malloc(bytes);
    *n = bytes / 8;
    if (fread(numbers, 8, *n, file) != (size_t)*n) exit(2);
    fclose(file);
    return numbers;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e6 + t.tv_nsec * 1e-3;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void *symbol(void *library, const char *name) {
    void *found = dlsym(library, name);
    if (!found) { fprintf(stderr, "no %s\n", name); exit(2); }
    return found;
}

static double *rows, *raw, *times, *found;
static long n_rows;

static void report(const char *name, double batch, double tolerance) {
    qsort(times, n_rows, sizeof *times, by_value);
    double worst = 0;
    for (long i = 0; i < n_rows; i++) worst = fmax(worst, fabs(found[i] - raw[i]));
    printf("%-28s one row p50 %.2f us, p99 %.2f us; batch %.3f us per row; scores within %.1e%s\n", name, times[n_rows / 2],
           times[n_rows * 99 / 100], batch / n_rows, worst, worst <= tolerance ? "" : " (NOT EQUAL)");
    fflush(stdout);
}

/* The second pass counts; each row is timed by itself. */
#define EACH_ROW(call)                                                                                                                     \
    for (int pass = 0; pass < 2; pass++)                                                                                                   \
        for (long i = 0; i < n_rows; i++) {                                                                                                \
            double began = now();                                                                                                          \
            call;                                                                                                                          \
            times[i] = now() - began;                                                                                                      \
        }

int main(int argc, char **argv) {
    if (argc != 7) return 2;
    long n_values, n_raw;
    rows = read_numbers(argv[2], &n_values);
    raw = read_numbers(argv[3], &n_raw);
    n_rows = n_values / N_FEATURES;
    if (n_raw != n_rows) return 2;
    times = malloc(n_rows * sizeof *times);
    found = malloc(n_rows * sizeof *found);

    void *lightgbm = dlopen(argv[4], RTLD_NOW);
    if (!lightgbm) { fprintf(stderr, "%s\n", dlerror()); return 2; }
    int (*load)(const char *, int *, void **) = symbol(lightgbm, "LGBM_BoosterCreateFromModelfile");
    int (*fast_init)(void *, int, int, int, int, int, const char *, void **) =
        symbol(lightgbm, "LGBM_BoosterPredictForMatSingleRowFastInit");
    int (*fast)(void *, const void *, long long *, double *) = symbol(lightgbm, "LGBM_BoosterPredictForMatSingleRowFast");
    int (*all)(void *, const void *, int, int, int, int, int, int, int, const char *, long long *, double *) =
        symbol(lightgbm, "LGBM_BoosterPredictForMat");
    void *booster, *config;
    int rounds;
    long long length;
    double began = now();
    if (load(argv[1], &rounds, &booster)) return 2;
    printf("lightgbm loads its text in %.1f ms\n", (now() - began) / 1e3);
    if (fast_init(booster, RAW, 0, -1, F64, N_FEATURES, "num_threads=1", &config)) return 2;
    EACH_ROW(fast(config, rows + i * N_FEATURES, &length, found + i))
    double batch = INFINITY;
    for (int run = 0; run < 3; run++) {
        began = now();
        all(booster, rows, F64, n_rows, N_FEATURES, 1, RAW, 0, -1, "num_threads=1", &length, found);
        batch = fmin(batch, now() - began);
    }
    report("lightgbm 4.7.0, C interface", batch, 0);

    void *contrib;
    double parts[N_FEATURES + 1], contrib_times[50];
    if (fast_init(booster, CONTRIB, 0, -1, F64, N_FEATURES, "num_threads=1", &contrib)) return 2;
    for (int i = 0; i < 50; i++) {
        began = now();
        fast(contrib, rows + i * N_FEATURES, &length, parts);
        contrib_times[i] = now() - began;
    }
    qsort(contrib_times, 50, sizeof(double), by_value);
    printf("lightgbm pred_contrib         one row p50 %.0f us\n", contrib_times[25]);

    if (strcmp(argv[5], "-")) {
        void *library = dlopen(argv[5], RTLD_NOW);
        if (!library) { fprintf(stderr, "%s\n", dlerror()); return 2; }
        void (*root)(double *, double *, int, int) = symbol(library, "forest_root");
        EACH_ROW(root(rows + i * N_FEATURES, found + i, 0, 1))
        batch = INFINITY;
        for (int run = 0; run < 3; run++) {
            began = now();
            root(rows, found, 0, n_rows);
            batch = fmin(batch, now() - began);
        }
        report("lleaves 1.3.0", batch, 1e-9);
    }
    if (strcmp(argv[6], "-")) {
        void *library = dlopen(argv[6], RTLD_NOW);
        if (!library) { fprintf(stderr, "%s\n", dlerror()); return 2; }
        void (*predict)(union entry *, int, double *) = symbol(library, "predict");
        union entry row[N_FEATURES];
        EACH_ROW({
            for (int j = 0; j < N_FEATURES; j++) {
                double x = rows[i * N_FEATURES + j];
                if (isnan(x)) row[j].missing = -1; else row[j].value = x;
            }
            found[i] = 0;
            predict(row, 1, found + i);
        })
        batch = 0;
        for (long i = 0; i < n_rows; i++) batch += times[i];
        report("tl2cgen 1.0.0, gcc -O3", batch, 1e-9);
    }
    return 0;
}
