/* Threads of an OpenMP team that wait for each other: what Cython cannot express.
 *
 * A thread that waits at the barrier spins for a moment and then sleeps. So where a team shares its cores with other
 * processes, waiting threads leave the cores to these processes, and to the threads that they wait for. libgomp's own
 * barrier spins hundreds of thousands of times, which a library cannot change.
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
    atomic_int wish[2];                 /* whether a thread wishes to stop after this turn, and after the next */
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
    /* A thread that goes to sleep counts itself in `asleep` before it reads `turn`, and `turn` has been set before
     * `asleep` is read here. So a thread that is not counted yet will see the new turn, and not sleep. */
    if (atomic_load(&barrier->asleep) == 0) return;
    pthread_mutex_lock(&barrier->mutex);
    pthread_cond_broadcast(&barrier->awake);
    pthread_mutex_unlock(&barrier->mutex);
}
#endif

/* Wait until all `team` threads have come here; what they wrote before is then visible. Return the seconds that this
 * thread slept. `stop` says whether this thread wishes to stop; it is set to whether any thread wishes so, which is the
 * same for all threads. */
static inline double wait_for_team(Barrier *barrier, int team, int *stop)
{
    if (team == 1) return 0;
    double waited = 0;
    unsigned turn = atomic_load_explicit(&barrier->turn, memory_order_relaxed);
    atomic_int *wish = &barrier->wish[turn % 2];
    if (*stop) atomic_store_explicit(wish, 1, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&barrier->waiting, 1, memory_order_acq_rel) == team - 1) {
        atomic_store_explicit(&barrier->waiting, 0, memory_order_relaxed);
        /* Clear the wish of the next turn. It was also that of the last turn, and all threads have read it since. */
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

/* While other programs use the processors, a team loses more time by waiting than it gains, and slows those programs.
 * So when a team has waited too long, all passes of this kernel module run on one thread for a while. This time doubles
 * whenever a team waits too long again, and halves after each call in which none does. */
#define LEAST_REST 0.01                 /* the shortest such time, in seconds */
#define MOST_REST 3.0
static _Atomic double rest, rest_until;
static inline int is_backing_off(void)
{
    double left = atomic_load_explicit(&rest_until, memory_order_relaxed) - seconds();
    return 0 < left && left <= MOST_REST;   /* more than MOST_REST if the clock has been set back */
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
