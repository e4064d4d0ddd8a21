/* What the OpenMP runtime says about numbers of threads, and where it puts them. */
#ifndef CBP_OPENMP_H
#define CBP_OPENMP_H

#ifdef _OPENMP
#include <omp.h>

static inline int openmp_version(void) { return _OPENMP; }
static inline int most_threads(void) { return omp_get_max_threads(); }

/* OpenMP counts the processors once, where neither a variable nor a call sets a number. A maximum equal to the number of
 * processors is taken for that count. */
static inline int default_threads(void)
{
    int n = omp_get_max_threads();
    return n == omp_get_num_procs() ? n : 0;
}

#ifdef __ELF__
extern int kmp_get_library(void) __attribute__((weak));     /* NULL but with LLVM's runtime and Intel's */
static inline int is_serial_library(void) { return kmp_get_library && kmp_get_library() == 1; }
#else
static inline int is_serial_library(void) { return 0; }
#endif

/* The most threads that a team gets, however many are asked for: by OMP_THREAD_LIMIT, OMP_MAX_ACTIVE_LEVELS,
 * KMP_LIBRARY and OMP_DYNAMIC. With the last, OpenMP may give fewer, by the machine's load. */
static inline int team_limit(void)
{
    int limit = omp_get_thread_limit(), most;
    if (omp_get_active_level() >= omp_get_max_active_levels() || is_serial_library()) return 1;
    if (omp_get_dynamic()) {
        if ((most = omp_get_max_threads()) < limit) limit = most;
        if ((most = omp_get_num_procs()) < limit) limit = most;
    }
    return limit > 1 ? limit : 1;
}

/* The places that threads are bound to, and how many processors each has; `processors`, if given, receives them. */
static inline int n_places(void) { return omp_get_num_places(); }
static inline int place(int i, int *processors)
{
    if (processors) omp_get_place_proc_ids(i, processors);
    return omp_get_place_num_procs(i);
}
#else
static inline int openmp_version(void) { return 0; }
static inline int most_threads(void) { return 1; }
static inline int default_threads(void) { return 0; }
static inline int team_limit(void) { return 1 << 30; }      /* a network reports the number that it was given */
static inline int n_places(void) { return 0; }
static inline int place(int i, int *processors) { (void)i; (void)processors; return 0; }
#endif

#endif
