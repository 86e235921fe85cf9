#define _DEFAULT_SOURCE
#include "CEngineABI.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

abi_ring *abi_ring_create(uint32_t capacity) {
  // Four times what is asked for: a reader that is late for a moment does not stop the writer.
  uint64_t places = ABI_RING_RUN;
  while (places / 4 < capacity) places *= 2;
  abi_ring *ring = aligned_alloc(128, sizeof(abi_ring));
  if (!ring) return NULL;
  memset(ring, 0, sizeof(abi_ring));
  ring->reports = aligned_alloc(1 << 21, places * sizeof(abi_report));
  if (!ring->reports) {
    free(ring);
    return NULL;
  }
#ifdef MADV_HUGEPAGE
  madvise(ring->reports, places * sizeof(abi_report), MADV_HUGEPAGE);
#endif
  // Touched now: page faults belong to the start, not to the first orders.
  memset(ring->reports, 0, places * sizeof(abi_report));
  ring->mask = places - 1;
  return ring;
}

static void *create(uint32_t capacity) { return abi_ring_create(capacity); }

static int push(void *handle, const abi_report *report) {
  abi_ring *ring = handle;
  abi_report *place = abi_ring_place(ring);
  if (!place) {
    abi_ring_publish(ring);
    return 0;
  }
  *place = *report;
  abi_ring_advance(ring);
  return 1;
}

static uint32_t drain(void *handle, abi_report *out, uint32_t max) {
  abi_ring *ring = handle;
  uint64_t first = __atomic_load_n(&ring->drained, __ATOMIC_RELAXED);
  if (first == ring->known_published) {
    ring->known_published = __atomic_load_n(&ring->published, __ATOMIC_ACQUIRE);
  }
  uint64_t count = ring->known_published - first;
  if (count > max) count = max;
  uint64_t start = first & ring->mask;
  uint64_t run = ring->mask + 1 - start;
  if (run > count) run = count;
  memcpy(out, ring->reports + start, run * sizeof(abi_report));
  memcpy(out + run, ring->reports, (count - run) * sizeof(abi_report));
  __atomic_store_n(&ring->drained, first + count, __ATOMIC_RELEASE);
  return (uint32_t)count;
}

static void flush(void *handle) { abi_ring_publish(handle); }

static void destroy(void *handle) {
  abi_ring *ring = handle;
  free(ring->reports);
  free(ring);
}

static const abi_transport ring_transport = {create, push, drain, flush, destroy};

const void *abi_transport_of_ring(void) { return &ring_transport; }
