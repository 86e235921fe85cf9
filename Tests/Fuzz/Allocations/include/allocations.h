#ifndef RIALTO_FUZZ_ALLOCATIONS_H
#define RIALTO_FUZZ_ALLOCATIONS_H

#include <stddef.h>

/// Watches the calling thread's heap allocations until `allocations_end`.
void allocations_begin(void);

/// The largest single allocation since `allocations_begin`, in bytes; 0 where they cannot be watched.
size_t allocations_end(void);

/// libFuzzer's main function, under the name by which it is called with arguments of one's own.
int LLVMFuzzerRunDriver(int *count, char ***arguments, int (*one_input)(const unsigned char *bytes, size_t count));

#endif
