/* Threads that meet: the parts of a team of OpenMP threads that Cython has no words for.
 *
 * The barrier spins for a moment and then yields, so that a team that shares its cores with other processes
 * does not starve them; libgomp's own barrier spins for hundreds of thousands of turns and cannot be told not to.
 */
#ifndef CBP_TEAM_H
#define CBP_TEAM_H

#ifdef _OPENMP
#include <omp.h>
#include <stdatomic.h>
#ifdef _WIN32
#include <windows.h>
#define YIELD() SwitchToThread()
#else
#include <sched.h>
#define YIELD() sched_yield()
#endif
#if defined(__x86_64__) || defined(__i386__)
#define PAUSE() __builtin_ia32_pause()
#else
#define PAUSE() ((void)0)
#endif
#define SPINS 2000

typedef struct { _Alignas(64) atomic_int waiting; _Alignas(64) atomic_int turn; } Barrier;

static inline int team_size(void) { return omp_get_num_threads(); }
static inline int most_threads(void) { return omp_get_max_threads(); }
static inline int openmp_version(void) { return _OPENMP; }

static inline double seconds(void) { return omp_get_wtime(); }

/* Returns when all `team` threads have come, with all that they wrote before: the seconds waited, beyond a moment. */
static inline double meet(Barrier *barrier, int team)
{
    if (team == 1) return 0;
    double start = 0;
    int turn = atomic_load_explicit(&barrier->turn, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&barrier->waiting, 1, memory_order_acq_rel) == team - 1) {
        atomic_store_explicit(&barrier->waiting, 0, memory_order_relaxed);
        atomic_store_explicit(&barrier->turn, turn + 1, memory_order_release);
        return 0;
    }
    for (int spins = 0; atomic_load_explicit(&barrier->turn, memory_order_acquire) == turn; spins++) {
        if (spins < SPINS) {
            PAUSE();
        } else {
            if (start == 0) start = seconds();
            YIELD();
        }
    }
    return start == 0 ? 0 : seconds() - start;
}
#else
typedef int Barrier;
static inline int team_size(void) { return 1; }
static inline int most_threads(void) { return 1; }
static inline int openmp_version(void) { return 0; }
static inline double seconds(void) { return 0; }
static inline double meet(Barrier *barrier, int team) { (void)barrier; (void)team; return 0; }
#endif

#endif
