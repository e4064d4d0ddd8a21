/* Threads that wait for each other: the parts of a team of OpenMP threads that Cython cannot express.
 *
 * The barrier spins for a moment and then sleeps, so that a team that shares its cores with other processes
 * neither starves them nor waits behind them; libgomp's own barrier spins for hundreds of thousands of turns and
 * cannot be changed.
 */
#ifndef CBP_TEAM_H
#define CBP_TEAM_H

#ifdef _OPENMP
#include <omp.h>
#include <stdatomic.h>
#ifdef _WIN32
#include <windows.h>
#else
#include <pthread.h>
#endif
#if defined(__x86_64__) || defined(__i386__)
#define PAUSE() __builtin_ia32_pause()
#else
#define PAUSE() ((void)0)
#endif
#define SPINS 2000

typedef struct {
    _Alignas(64) atomic_int waiting;
    _Alignas(64) atomic_uint turn;      /* wraps around */
    atomic_int asleep;
    atomic_int wish[2];                 /* to stop after this turn, and after the next */
#ifndef _WIN32
    pthread_mutex_t mutex;
    pthread_cond_t awake;
#endif
} Barrier;

static inline int team_size(void) { return omp_get_num_threads(); }
static inline double seconds(void) { return omp_get_wtime(); }

#ifdef _WIN32
static inline void open_barrier(Barrier *barrier) { (void)barrier; }
static inline void close_barrier(Barrier *barrier) { (void)barrier; }
#pragma comment(lib, "Synchronization.lib")
static inline void sleep_until_past(Barrier *barrier, unsigned turn)
{
    while (atomic_load(&barrier->turn) == turn) WaitOnAddress(&barrier->turn, &turn, sizeof turn, INFINITE);
}
static inline void wake(Barrier *barrier) { WakeByAddressAll(&barrier->turn); }
#else
static inline void open_barrier(Barrier *barrier)
{
    pthread_mutex_init(&barrier->mutex, NULL);
    pthread_cond_init(&barrier->awake, NULL);
}
static inline void close_barrier(Barrier *barrier)
{
    pthread_cond_destroy(&barrier->awake);
    pthread_mutex_destroy(&barrier->mutex);
}
static inline void sleep_until_past(Barrier *barrier, unsigned turn)
{
    pthread_mutex_lock(&barrier->mutex);
    atomic_fetch_add(&barrier->asleep, 1);
    while (atomic_load(&barrier->turn) == turn) pthread_cond_wait(&barrier->awake, &barrier->mutex);
    atomic_fetch_sub(&barrier->asleep, 1);
    pthread_mutex_unlock(&barrier->mutex);
}
static inline void wake(Barrier *barrier)
{
    /* A sleeper says so before it looks at the turn, and the turn is set before sleepers are looked for. */
    if (atomic_load(&barrier->asleep) == 0) return;
    pthread_mutex_lock(&barrier->mutex);
    pthread_cond_broadcast(&barrier->awake);
    pthread_mutex_unlock(&barrier->mutex);
}
#endif

/* Returns when all `team` threads have come, with all that they wrote before: the seconds waited, beyond a moment.
 * `stop` is this thread's wish to stop, and becomes whether any had it: the same for all. */
static inline double wait_for_team(Barrier *barrier, int team, int *stop)
{
    if (team == 1) return 0;
    double waited = 0;
    unsigned turn = atomic_load_explicit(&barrier->turn, memory_order_relaxed);
    atomic_int *wish = &barrier->wish[turn % 2];
    if (*stop) atomic_store_explicit(wish, 1, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&barrier->waiting, 1, memory_order_acq_rel) == team - 1) {
        atomic_store_explicit(&barrier->waiting, 0, memory_order_relaxed);
        /* The wish of the next turn; all threads have read it when it was that of the last one. */
        atomic_store_explicit(&barrier->wish[(turn + 1) % 2], 0, memory_order_relaxed);
        atomic_store(&barrier->turn, turn + 1);
        wake(barrier);
    } else {
        int spins = 0;
        while (spins < SPINS && atomic_load_explicit(&barrier->turn, memory_order_acquire) == turn) {
            PAUSE();
            spins++;
        }
        if (spins == SPINS) {
            double start = seconds();
            sleep_until_past(barrier, turn);
            waited = seconds() - start;
        }
    }
    *stop = atomic_load_explicit(wish, memory_order_relaxed);
    return waited;
}

/* Where other programs have the processors, threads that wait for each other lose more than they gain, and slow the
 * others. An oversubscribed pass runs on one thread for a time that doubles with each recurrence. All passes share
 * this. */
#define LEAST_REST 0.01                 /* seconds */
#define MOST_REST 3.0
static _Atomic double rest, rest_until;
static inline int is_backing_off(void)
{
    double left = atomic_load_explicit(&rest_until, memory_order_relaxed) - seconds();
    return 0 < left && left <= MOST_REST;   /* the clock may have been set back */
}
static inline void note_oversubscription(int oversubscribed)
{
    double last = atomic_load_explicit(&rest, memory_order_relaxed), next = last / 2;
    if (oversubscribed) next = last < LEAST_REST / 2 ? LEAST_REST : last < MOST_REST / 2 ? 2 * last : MOST_REST;
    if (next != last) atomic_store_explicit(&rest, next, memory_order_relaxed);
    if (oversubscribed) atomic_store_explicit(&rest_until, seconds() + next, memory_order_relaxed);
}
#else
typedef int Barrier;
static inline int team_size(void) { return 1; }
static inline double seconds(void) { return 0; }
static inline void open_barrier(Barrier *barrier) { (void)barrier; }
static inline void close_barrier(Barrier *barrier) { (void)barrier; }
static inline double wait_for_team(Barrier *barrier, int team, int *stop) { (void)barrier; (void)team; (void)stop; return 0; }
static inline int is_backing_off(void) { return 0; }
static inline void note_oversubscription(int oversubscribed) { (void)oversubscribed; }
#endif

#endif
