/* What the OpenMP runtime says about numbers of threads, and where it puts them. */
#ifndef CBP_OPENMP_H
#define CBP_OPENMP_H

#ifdef _OPENMP
#include <omp.h>

static inline int openmp_version(void) { return _OPENMP; }
static inline int most_threads(void) { return omp_get_max_threads(); }

/* Return OpenMP's default number of threads, or 0 if an environment variable or a call has set another number. By
 * default it is the number of processors; so a maximum equal to that is taken for the default. */
static inline int default_threads(void)
{
    int n = omp_get_max_threads();
    return n == omp_get_num_procs() ? n : 0;
}

#ifdef __ELF__
extern int kmp_get_library(void) __attribute__((weak));     /* NULL except with the runtimes of LLVM and Intel */
static inline int is_serial_library(void) { return kmp_get_library && kmp_get_library() == 1; }
#else
static inline int is_serial_library(void) { return 0; }
#endif

/* Return the most threads that a team gets, however many are asked for. OMP_THREAD_LIMIT, OMP_MAX_ACTIVE_LEVELS,
 * KMP_LIBRARY and OMP_DYNAMIC limit it. With OMP_DYNAMIC, the load of the machine may make OpenMP give even fewer. */
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

/* A place is a set of processors that threads are bound to. `n_places` returns the number of places. `place` returns
 * the number of processors in place i, and writes their numbers to `processors` unless that is NULL. */
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
static inline int team_limit(void) { return 1 << 30; }      /* no limit: a network reports the number it was given */
static inline int n_places(void) { return 0; }
static inline int place(int i, int *processors) { (void)i; (void)processors; return 0; }
#endif

#endif
