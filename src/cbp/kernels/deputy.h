/* Teams in a child of fork.
 *
 * A child has one thread, a copy of the one that called fork. libgomp's record of that thread's team was copied
 * too, but the threads of the team were not: it would wait for them for ever. It cannot be known whether there
 * was a team, since any other library may have had one on the same OpenMP runtime. So this thread opens no teams in the
 * child. A deputy does, a thread made in the child, which OpenMP does not know yet.
 *
 * There is at most one such thread in a process, and the deputy therefore has one job at a time.
 */
#ifndef CBP_DEPUTY_H
#define CBP_DEPUTY_H

#ifdef _WIN32
/* No fork, and so no orphans. */
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
static _Thread_local int orphan;

/* To be called in the child, by the thread that called fork. */
static inline void note_fork(void)
{
    orphan = 1;
    deputy = nobody;                    /* a deputy of the parent's, if it is a child of fork itself, was not copied */
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

/* Signals are for the threads that Python knows: the deputy, and so its team, block them. */
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

/* Have the deputy do a job, and wait until it is done: 0, with nothing done, where no thread can be made. */
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
