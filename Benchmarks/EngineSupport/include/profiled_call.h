#ifndef RIALTO_PROFILED_CALL_H
#define RIALTO_PROFILED_CALL_H

/// What a profiler is told to count within: functions that only call `work(context)`, under names that no optimiser
/// changes, inlines or goes around.

#ifdef __cplusplus
extern "C" {
#endif

void rialto_bench_engine_apply(void (*_Nonnull work)(void *_Nonnull), void *_Nonnull context);
void rialto_bench_engine_levels(void (*_Nonnull work)(void *_Nonnull), void *_Nonnull context);

#ifdef __cplusplus
}
#endif

#endif
