/* The size of a team that the system grants.
 *
 * Sandboxes and limits (seccomp, RLIMIT_NPROC, RLIMIT_AS, the pids controller of cgroups) may refuse to make threads.
 * Then libgomp ends the process, and so does LLVM's runtime. So before a thread opens a team larger than any before,
 * as many threads are made and ended. If that fails, a team of the largest size granted before does the work, or one
 * thread, with the same bits.
 *
 * Each kernel module does this for itself. Under a tight limit the module of a second precision may be refused, since
 * the first one's team still exists, and runs on one thread.
 *
 * Later refusals are not noticed. libgomp keeps the threads of the last team; it ends those that a smaller team does
 * not need, and makes new ones for a larger team, which the system may refuse. In processes limited to 16 threads, this
 * ended about 10 of 100 trainings that alternated between teams of 3 and of 16 threads on a busy machine, and none of
 * 80 with teams of one size.
 */
#ifndef CBP_GRANTED_H
#define CBP_GRANTED_H

#include "team.h"

#if defined(_OPENMP) && !defined(_WIN32)
#include <stdlib.h>

#define ASK_AGAIN 1.0                   /* seconds from a refusal until the system is asked again */

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

/* Return how many threads a team may have: `team` or, if the system refuses so many, the most it has granted before. */
static inline int granted(int team)
{
    static _Thread_local int most = 1;  /* granted so far to this thread: the runtime keeps a team for each thread */
    static _Atomic double refused_at = -ASK_AGAIN;
    if (team == 1 || team <= most) return team; /* 1 first: to read a thread-local `most` may take a call */
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
