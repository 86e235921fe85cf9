#include "profiled_call.h"

// The empty statement after the call keeps it from becoming a jump, after which the function would count as left.

void rialto_bench_engine_apply(void (*work)(void *), void *context) {
  work(context);
  __asm__ volatile("" : : "r"(0));
}

void rialto_bench_engine_levels(void (*work)(void *), void *context) {
  work(context);
  __asm__ volatile("" : : "r"(1));
}
