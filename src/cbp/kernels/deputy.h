/* Teams of threads in a child process that fork has made.
 *
 * A child starts with one thread, a copy of the thread that called fork. libgomp's record of that thread's team was
 * copied too, but the threads of the team were not: libgomp would wait for them for ever. Nobody can know whether there
 * was a team, since any other library may have opened one with the same OpenMP runtime. So this first thread, called an
 * orphan below, opens no teams. A deputy opens them: a second thread, made in the child, which is new to OpenMP.
 *
 * A process has at most one orphan, so the deputy has only one job at a time.
 */
#ifndef CBP_DEPUTY_H
#define CBP_DEPUTY_H

#ifdef _WIN32
/* Windows has no fork, and so no orphans. */
static inline void note_fork(void) {}
static inline int is_orphan(void) { return 0; }
static inline int hand_over(void (*job)(void *), void *argument) { (void)job; (void)argument; return 0; }
#else
#include <pthread.h>
#include <signal.h>

typedef struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int exists;
    void (*job)(void *);                /* NULL: nothing to do, or done */
    void *argument;
} Deputy;

static const Deputy nobody = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, NULL, NULL};
static Deputy deputy = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, NULL, NULL};
static _Thread_local int orphan;        /* whether this thread is one */

/* To be called in the child, by the thread that called fork. */
static inline void note_fork(void)
{
    orphan = 1;
    deputy = nobody;                    /* the thread of the parent's deputy, if it had one, was not copied */
}

static inline int is_orphan(void) { return orphan; }

static void *serve(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&deputy.mutex);
    for (;;) {
        while (deputy.job == NULL) pthread_cond_wait(&deputy.changed, &deputy.mutex);
        pthread_mutex_unlock(&deputy.mutex);
        deputy.job(deputy.argument);
        pthread_mutex_lock(&deputy.mutex);
        deputy.job = NULL;
        pthread_cond_broadcast(&deputy.changed);
    }
    return NULL;
}

/* Signals must go to threads that Python knows. So the deputy blocks them, and its team inherits this. */
static int make_deputy(void)
{
    pthread_t thread;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&thread, NULL, serve, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!failed) pthread_detach(thread);
    return !failed;
}

/* Have the deputy do a job, and wait until it is done. Return 0, with nothing done, if no deputy can be made. */
static inline int hand_over(void (*job)(void *), void *argument)
{
    if (!deputy.exists && !(deputy.exists = make_deputy())) return 0;
    pthread_mutex_lock(&deputy.mutex);
    deputy.argument = argument;
    deputy.job = job;
    pthread_cond_broadcast(&deputy.changed);
    while (deputy.job != NULL) pthread_cond_wait(&deputy.changed, &deputy.mutex);
    pthread_mutex_unlock(&deputy.mutex);
    return 1;
}
#endif

#endif
