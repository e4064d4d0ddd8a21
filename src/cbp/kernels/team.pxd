"""Declarations of what `team.h`, `granted.h` and `openmp.h` define about threads."""

cdef extern from "team.h" nogil:
    ctypedef struct Barrier:
        pass
    int team_size()
    double seconds()
    void open_barrier(Barrier* barrier)
    void close_barrier(Barrier* barrier)
    double wait_for_team(Barrier* barrier, int team, int* stop)
    bint is_backing_off()
    void note_oversubscription(bint oversubscribed)

cdef extern from "granted.h" nogil:
    int granted(int team)

cdef extern from "openmp.h" nogil:
    int openmp_version()
    int most_threads()
    int default_threads()
    int team_limit()
    int n_places()
    int place(int i, int* processors)
