// A wall clock that can be set for single processes: preloaded, it adds the seconds in the file
// $WALL_CLOCK (8 bytes, a double) to CLOCK_REALTIME, at once when the file changes.
// Nothing else changes: the monotonic clock continues, and waits that end at a wall time end after
// the same duration as without this library.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile double *offset;

__attribute__((constructor)) static void map_file(void) {
  const char *name = getenv("WALL_CLOCK");
  int file = name ? open(name, O_RDONLY) : -1;
  void *page = file < 0 ? MAP_FAILED : mmap(0, sizeof *offset, PROT_READ, MAP_SHARED, file, 0);
  offset = page == MAP_FAILED ? 0 : page;
}

static long shift(void) { return offset ? (long)*offset : 0; }

int clock_gettime(clockid_t clock, struct timespec *now) {
  int result = (int)syscall(SYS_clock_gettime, clock, now);
  if (!result && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
    now->tv_sec += shift();
  return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  struct timespec precise;
  clock_gettime(CLOCK_REALTIME, &precise);
  now->tv_sec = precise.tv_sec, now->tv_usec = precise.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *result) {
  struct timespec precise;
  clock_gettime(CLOCK_REALTIME, &precise);
  if (result) *result = precise.tv_sec;
  return precise.tv_sec;
}

// Absolute times of the monotonic clock are far smaller than those of the wall clock.
static struct timespec real(const struct timespec *until) {
  struct timespec shifted = *until;
  if (shifted.tv_sec > 1000000000) shifted.tv_sec -= shift();
  return shifted;
}

#define WAIT(name, parameters, ...)                        \
  int name parameters {                                    \
    static int (*next) parameters;                         \
    if (!next) next = (int(*) parameters)dlsym(RTLD_NEXT, #name); \
    struct timespec then = real(until);                    \
    return next(__VA_ARGS__);                              \
  }

WAIT(sem_timedwait, (sem_t *restrict s, const struct timespec *restrict until), s, &then)
WAIT(pthread_mutex_timedlock,
     (pthread_mutex_t *restrict m, const struct timespec *restrict until), m, &then)
WAIT(pthread_cond_timedwait,
     (pthread_cond_t *restrict c, pthread_mutex_t *restrict m,
      const struct timespec *restrict until), c, m, &then)
