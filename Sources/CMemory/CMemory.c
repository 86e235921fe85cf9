#define _GNU_SOURCE
#include "CMemory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

// From this size on memory comes from the kernel: zero without being touched, and moved without being copied.
static const size_t mapped_from = 1 << 18;
// From this size on large pages are asked for: random access to a large book mostly waits for address translation.
static const size_t large_pages_from = 1 << 23;

// How much is mapped for so many bytes. Whole large pages: else the kernel would take them apart when it moves them.
static size_t length(size_t bytes) {
  size_t page = bytes >= large_pages_from ? (size_t)1 << 21 : (size_t)1 << 12;
  return (bytes + page - 1) & ~(page - 1);
}

static void fail(size_t bytes) {
  fprintf(stderr, "out of memory: %zu bytes could not be had\n", bytes);
  abort();
}

static void *map(size_t bytes) {
  void *memory = mmap(NULL, length(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) fail(bytes);
#ifdef MADV_HUGEPAGE
  if (bytes >= large_pages_from) madvise(memory, length(bytes), MADV_HUGEPAGE);
#endif
  return memory;
}

void *rialto_memory_allocate(size_t bytes) {
  if (bytes >= mapped_from) return map(bytes);
  size_t rounded = (bytes + 63) & ~(size_t)63;
  void *memory = aligned_alloc(64, rounded);
  if (!memory) fail(bytes);
  return memset(memory, 0, rounded);
}

void *rialto_memory_grow(void *memory, size_t bytes, size_t wider) {
#ifdef MREMAP_MAYMOVE
  if (bytes >= mapped_from) {
    void *moved = mremap(memory, length(bytes), length(wider), MREMAP_MAYMOVE);
    if (moved == MAP_FAILED) fail(wider);
#ifdef MADV_HUGEPAGE
    if (wider >= large_pages_from) madvise(moved, length(wider), MADV_HUGEPAGE);
#endif
    return moved;
  }
#endif
  void *moved = rialto_memory_allocate(wider);
  memcpy(moved, memory, bytes);
  rialto_memory_release(memory, bytes);
  return moved;
}

void rialto_memory_release(void *memory, size_t bytes) {
  if (bytes >= mapped_from) {
    munmap(memory, length(bytes));
  } else {
    free(memory);
  }
}
