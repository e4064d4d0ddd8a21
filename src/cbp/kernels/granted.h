/* Teams that the system grants.
 *
 * Sandboxes and limits (seccomp, RLIMIT_NPROC, RLIMIT_AS, the pids controller of cgroups) may refuse threads. libgomp
 * then ends the process, and so does LLVM's runtime. So before a thread opens its first team of a size, that many
 * threads are made and ended. Where that fails, a team of the largest size granted before does the work, or one thread,
 * with the same bits.
 *
 * Each kernel module asks for itself: under a tight limit the second precision may run on one thread.
 *
 * Later refusals are not noticed: libgomp keeps the threads of the last team, ends those that a smaller team does not
 * need, and makes others for a larger one. In a process that may have 16 threads, trainings whose teams of 3
 * and of 16 took turns ended so in about 10 of 100 runs on a busy machine; teams of one size, in none of 80.
 */
#ifndef CBP_GRANTED_H
#define CBP_GRANTED_H

#include "team.h"

#if defined(_OPENMP) && !defined(_WIN32)
#include <stdlib.h>

#define ASK_AGAIN 1.0                   /* seconds after a refusal */

static void *leave(void *gate)
{
    pthread_mutex_lock(gate);
    pthread_mutex_unlock(gate);
    return NULL;
}

/* Whether n threads more can exist at once: all are made before the first may leave. */
static int can_make(int n)
{
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    pthread_t *threads = malloc(n * sizeof *threads);
    int made = 0, i;
    if (threads == NULL) return 0;
    pthread_mutex_lock(&gate);
    while (made < n && pthread_create(&threads[made], NULL, leave, &gate) == 0) made++;
    pthread_mutex_unlock(&gate);
    for (i = 0; i < made; i++) pthread_join(threads[i], NULL);
    free(threads);
    return made == n;
}

/* How many threads a team may ask for: `team`, or where the system refuses them as many as it has granted before. */
static inline int granted(int team)
{
    static _Thread_local int most = 1;  /* that this thread, whose threads the runtime keeps apart, has been granted */
    static _Atomic double refused_at = -ASK_AGAIN;
    if (team == 1 || team <= most) return team; /* one thread is not worth the call that finds the thread's `most` */
    double since = seconds() - atomic_load_explicit(&refused_at, memory_order_relaxed);
    if (0 <= since && since < ASK_AGAIN) return most;
    if (!can_make(team - 1)) {
        atomic_store_explicit(&refused_at, seconds(), memory_order_relaxed);
        return most;
    }
    return most = team;
}
#else
static inline int granted(int team) { return team; }
#endif

#endif
