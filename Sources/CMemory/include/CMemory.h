#ifndef RIALTO_CMEMORY_H
#define RIALTO_CMEMORY_H

#include <stddef.h>

/// Zeroed memory that starts at a multiple of 64; ends the process if there is none.
void *_Nonnull rialto_memory_allocate(size_t bytes);

/// Moves what `memory` holds to a larger place; what is new there is zero. Large memory is moved by its page tables.
void *_Nonnull rialto_memory_grow(void *_Nonnull memory, size_t bytes, size_t wider);

void rialto_memory_release(void *_Nonnull memory, size_t bytes);

/// Asks for the cache line of an address that is about to be used; any address will do.
static inline void rialto_prefetch(const void *_Nonnull address) {
  __builtin_prefetch(address);
}

#endif
