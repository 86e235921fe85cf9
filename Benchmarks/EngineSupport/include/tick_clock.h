#ifndef RIALTO_TICK_CLOCK_H
#define RIALTO_TICK_CLOCK_H

#include <stdint.h>
#include <time.h>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

/// The processor's time counter where it has one, else nanoseconds of the system's monotonic clock.
///
/// On x86-64 the counter is read after all earlier instructions have ended, so that an operation's time holds the loads
/// that it waits for, and not those of its neighbours.
static inline uint64_t tick_clock_now(void) {
#if defined(__x86_64__)
  _mm_lfence();
  return __rdtsc();
#elif defined(__aarch64__)
  uint64_t ticks;
  __asm__ volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(ticks) : : "memory");
  return ticks;
#else
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
#endif
}

/// What `tick_clock_now` reads.
static inline const char *tick_clock_name(void) {
#if defined(__x86_64__)
  return "lfence and rdtsc";
#elif defined(__aarch64__)
  return "isb and cntvct_el0";
#else
  return "CLOCK_MONOTONIC";
#endif
}

#endif
