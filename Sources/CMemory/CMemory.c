#define _GNU_SOURCE
#include "CMemory.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

// From this size on memory comes from the kernel: zero without being touched, and moved without being copied.
static const size_t mapped_from = 1 << 18;
// From this size on large pages are asked for: random access to a large book mostly waits for address translation.
static const size_t large_pages_from = 1 << 19;
static const size_t large_page = (size_t)1 << 21;

// How much is mapped for so many bytes. Whole large pages: else the kernel would take them apart when it moves them.
static size_t length(size_t bytes) {
  size_t page = bytes >= large_pages_from ? large_page : (size_t)1 << 12;
  return (bytes + page - 1) & ~(page - 1);
}

static void fail(size_t bytes) {
  fprintf(stderr, "out of memory: %zu bytes could not be had\n", bytes);
  abort();
}

// Address space that starts at a large page, if it is large enough for one.
static void *reserve(size_t bytes) {
  size_t size = length(bytes);
  size_t slack = bytes >= large_pages_from ? large_page : 0;
  char *memory = mmap(NULL, size + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) fail(bytes);
  if (slack == 0) return memory;
  size_t before = -(uintptr_t)memory & (large_page - 1);
  if (before > 0) munmap(memory, before);
  if (before < slack) munmap(memory + before + size, slack - before);
#ifdef MADV_HUGEPAGE
  madvise(memory + before, size, MADV_HUGEPAGE);
#endif
  return memory + before;
}

void *rialto_memory_allocate(size_t bytes) {
  if (bytes >= mapped_from) return reserve(bytes);
  size_t rounded = (bytes + 63) & ~(size_t)63;
  void *memory = aligned_alloc(64, rounded);
  if (!memory) fail(bytes);
  return memset(memory, 0, rounded);
}

void *rialto_memory_grow(void *memory, size_t bytes, size_t wider) {
#ifdef MREMAP_FIXED
  if (bytes >= large_pages_from || (bytes >= mapped_from && wider < large_pages_from)) {
    void *place = reserve(wider);
    void *moved = mremap(memory, length(bytes), length(wider), MREMAP_MAYMOVE | MREMAP_FIXED, place);
    if (moved == MAP_FAILED) fail(wider);
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
