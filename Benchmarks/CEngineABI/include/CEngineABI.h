#ifndef RIALTO_CENGINEABI_H
#define RIALTO_CENGINEABI_H

// The binary interface of the public benchmark flash1-dev/matching-engine-benchmark: its harness loads an engine as a
// shared library and calls the functions named engine_*. Layouts and names are that benchmark's; see its api/ folder.

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

// A harness that breaks its contract is told so, in release builds too; there is nothing to return an error through.
_Noreturn static inline void abi_refuse(const char *_Nonnull reason) {
  fprintf(stderr, "RialtoEngine: %s\n", reason);
  abort();
}

typedef struct {
  uint64_t order_id;
  uint64_t sequence_number;
  int64_t price_ticks;
  uint32_t quantity;
  uint8_t side;  // 0 buy, 1 sell
  uint8_t ioc;
  uint8_t reserved[2];
} abi_new_order;

typedef struct {
  uint64_t order_id;
  uint64_t sequence_number;
} abi_cancel;

typedef struct {
  uint64_t order_id;
  uint64_t sequence_number;
  int64_t price_ticks;
  uint32_t quantity;
  uint8_t side;
  uint8_t reserved[3];
} abi_modify;

// One message of a batch: 0 new order, 1 cancel, 2 modify.
typedef struct {
  uint8_t type;
  uint8_t reserved[7];
  union {
    abi_new_order order;
    abi_cancel cancel;
    abi_modify modify;
  };
} abi_message;

// 0 order taken, 1 trade, 2 cancelled, 3 modified, 4 cancel refused, 5 modify refused.
typedef struct {
  uint8_t type;
  uint8_t side;
  uint8_t reserved[6];
  uint64_t sequence_number;
  uint64_t order_id;
  int64_t price_ticks;
  uint32_t quantity;
  uint32_t reserved2;
  uint64_t maker_order_id;
  uint64_t taker_order_id;
  uint64_t reserved3;
} abi_report;

_Static_assert(sizeof(abi_message) == 40, "a message has 40 bytes");
_Static_assert(sizeof(abi_report) == 64, "a report has 64 bytes");

typedef struct {
  void *_Nullable (*_Nonnull create)(uint32_t capacity);
  int (*_Nonnull push)(void *_Nonnull handle, const abi_report *_Nonnull report);
  uint32_t (*_Nonnull drain)(void *_Nonnull handle, abi_report *_Nonnull out, uint32_t max);
  void (*_Nonnull flush)(void *_Nonnull handle);
  void (*_Nonnull destroy)(void *_Nonnull handle);
} abi_transport;

// The queue of reports between the matching thread and the thread that drains it: a ring with one writer and one reader.
// The writer fills places and publishes them in runs; both sides keep a copy of the other's position, so that they touch
// each other's cache lines rarely.
typedef struct {
  abi_report *_Nonnull reports;
  uint64_t mask;
  // The writer's: next place to fill, and what it knows of the reader.
  uint64_t filled;
  uint64_t known_drained;
  uint8_t line1[96];
  // What each side tells the other.
  uint64_t published;
  uint8_t line2[120];
  uint64_t drained;
  uint8_t line3[120];
  // The reader's.
  uint64_t known_published;
  uint8_t line4[120];
} abi_ring;

// Reports that are published at once, unless somebody asks for less.
#define ABI_RING_RUN 64
// How far ahead places are asked for.
#define ABI_RING_AHEAD 16

static inline void abi_ring_publish(abi_ring *_Nonnull ring) {
  __atomic_store_n(&ring->published, ring->filled, __ATOMIC_RELEASE);
}

// The next place to fill, when the ring has room for it.
static inline abi_report *_Nullable abi_ring_place(abi_ring *_Nonnull ring) {
  if (ring->filled - ring->known_drained > ring->mask) {
    ring->known_drained = __atomic_load_n(&ring->drained, __ATOMIC_ACQUIRE);
    if (ring->filled - ring->known_drained > ring->mask) return NULL;
  }
  return &ring->reports[ring->filled & ring->mask];
}

static inline void abi_prefetch_to_write(const void *_Nonnull address) {
#if defined(__x86_64__)
  // Compilers give the plain prefetch for it unless they are told of the processor.
  __asm__ volatile("prefetchw %0" : : "m"(*(const char *)address));
#else
  __builtin_prefetch(address, 1);
#endif
}

static inline void abi_ring_advance(abi_ring *_Nonnull ring) {
  // The place was the reader's last: it is asked for, to be written, before it is filled.
  abi_prefetch_to_write(&ring->reports[(ring->filled + ABI_RING_AHEAD) & ring->mask]);
  if ((++ring->filled & (ABI_RING_RUN - 1)) == 0) abi_ring_publish(ring);
}

abi_ring *_Nullable abi_ring_create(uint32_t capacity);

// The ring as the harness sees it: an abi_transport.
const void *_Nonnull abi_transport_of_ring(void);

static inline void abi_prefetch(const void *_Nonnull address) { __builtin_prefetch(address); }

#endif
